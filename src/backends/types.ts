import type { MemoryPlan } from '../api/types/index.ts';
import type { Program } from '../ops/program.ts';
import type { Sampled, SampleParams } from '../ops/sample.ts';
import type { BackendId, Numerics, WeightFormat, WeightSink } from '../types.ts';

export type { MemoryPlan };

/** Consecutive rows of one slot in a step: rows `first … first + rows − 1` sit at `position … `. */
export interface Segment {
  slot: number;
  position: number; // tokens that the slot has consumed before this step
  rows: number;
}

/** What is wanted of one row of a step. */
export interface Output {
  row: number;
  logits?: boolean; // the whole row of logits
  target?: number; // the log-probability of this id
  sample?: SampleParams;
  /** Ids after which `stepAhead` goes no further. */
  ends?: readonly number[];
  /** Texts may end it, too, which only the host sees: steps beyond would be for nothing. */
  watched?: boolean;
}

export interface OutputResult {
  logits?: Float32Array; // [vocab]
  target?: number;
  sampled?: Sampled;
}

/** Rows of one or many slots, run at once. Segments follow each other in `ids`; a slot appears at most once. */
export interface Step {
  ids: Int32Array; // [rows], 1 ≤ rows ≤ program.chunk, each in [0, vocab)
  segments: readonly Segment[];
  outputs: readonly Output[]; // in ascending order of row
}

export interface ExecutorOptions {
  slots: number;
  numerics: Numerics;
  threads: number; // 0: the backend chooses
  /** Ceiling of totalBytes; more is refused with OUT_OF_MEMORY before anything is allocated. */
  memoryBudget?: number;
}

/** What was chosen and why, for `model.info`. */
export interface ExecutorInfo {
  backend: BackendId;
  variant: string; // 'relaxed-simd, threads'
  device: string;
  why: string;
  threads: number;
  numerics: Numerics;
}

/** One model on one device. Steps of one executor do not overlap: the caller awaits one before the next. */
export interface Executor {
  readonly info: ExecutorInfo; // its threads may still be starting until ready()
  readonly memory: MemoryPlan;
  /** States are not in the host's memory: to read one waits for the device, and takes it from its work. */
  readonly distant?: boolean;
  /** True once the device went away, with all that was on it: every call rejects with DEVICE_LOST. */
  readonly lost?: boolean;
  /** Takes the rows of a weight, until ready(): blocks of a multiple of UPLOAD_ROWS but for the last. */
  sink(name: string): WeightSink;
  /**
   * After the last rows: waits for what is underway. Answers where the first number of a weight is that is NaN or
   * infinite, or null. Refuses with INTERNAL if a weight is missing.
   */
  ready(): Promise<string | null>;
  step(step: Step): Promise<OutputResult[]>;
  /**
   * Up to `count` steps, each from the tokens that the one before sampled, without the host in between: for steps of
   * one row a slot and one sampled output a row. Returns the results of each; null for an output that sampled one of its
   * `ends` before (of these the first MAX_ENDS count): its slot is left as it was then. One that keeps the caller's
   * thread busy begins no step after `until` (`performance.now()`), but for the first. A device for which this is no
   * faster has no such thing.
   */
  stepAhead?(step: Step, count: number, until?: number): Promise<(OutputResult | null)[][]>;
  /** Slot state operations; the arrays are in canonical order: dense states as declared, rings oldest row first. */
  resetSlot(slot: number): Promise<void>;
  copySlot(from: number, to: number): Promise<void>;
  readSlot(slot: number, position: number, names?: readonly string[]): Promise<Record<string, Float32Array>>; // all if absent
  writeSlot(slot: number, position: number, state: Record<string, Float32Array>): Promise<void>;
  /** Activation buffers, [chunk, width]: for tests that run an op alone, nothing else calls these two. */
  writeBuffer(name: string, data: Float32Array): Promise<void>;
  readBuffer(name: string): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** The most ids at which an output of `stepAhead` ends. */
export const MAX_ENDS = 8;

/** The most steps of one `stepAhead`. */
export const MAX_AHEAD = 64;

/** Upload blocks hold a multiple of this many rows (the last block of a weight aside). */
export const UPLOAD_ROWS = 64;

export type WeightFormats = Readonly<Record<string, WeightFormat>>;

export interface Backend {
  readonly name: BackendId;
  /** Rows of prefill that it likes to be fed at a time; 64 if absent. */
  readonly chunk?: number;
  /** As of its executors: they get a few more slots, to leave checkpoints in. */
  readonly distant?: boolean;
  /** Null if it can run here, else the reason why not. Cheap: no device is created. */
  unavailable(): Promise<string | null>;
  /** Null, or why 'auto' should not choose it here though it can run. */
  unsuitable?(): Promise<string | null>;
  plan(program: Program, formats: WeightFormats, options: ExecutorOptions): MemoryPlan;
  create(program: Program, formats: WeightFormats, options: ExecutorOptions): Promise<Executor>;
}
