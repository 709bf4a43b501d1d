import type { KernelName } from './kernels.ts';

/** The facts of a device that decide its kernels. */
export interface Features {
  subgroups: number; // the most threads of one; 0 where they are not used
  packedDots: boolean; // dot products of 8-bit integers
  f16: boolean; // f16 arithmetic
  matrices: MatrixShape | null; // products of matrices of f16 that a subgroup makes, summed in f32
  maxBinding: number; // bytes of a storage binding
  maxWorkgroupMemory: number; // bytes
  maxThreads: number; // of a workgroup
}

/** A subgroup multiplies M × K by K × N. */
export interface MatrixShape {
  M: number;
  N: number;
  K: number;
}

/** What a step looks like to those who decide how many workgroups run. */
export interface StepShape {
  rows: number;
  segments: number;
  logitRows: number;
  outputs: number;
  single: boolean; // every segment has one row
}

export type Workgroups = readonly [x: number, y: number, z: number];

/** What a kernel is specialized by. */
export interface KernelSettings {
  flags?: Readonly<Record<string, boolean>>; // of `#if`
  constants?: Readonly<Record<string, number>>; // u32
  floats?: Readonly<Record<string, number>>; // f32
  tables?: Readonly<Record<string, readonly number[]>>; // array<f32>
}

/** A range of a buffer. */
export interface Slice {
  buffer: string;
  offset?: number; // bytes, a multiple of 256
  size?: number; // bytes; to the end if absent
}

export type Range = Required<Slice>;

/** One kernel and what it is bound to. */
export interface Launch<Bound extends Slice = Slice> {
  kernel: KernelName;
  settings: KernelSettings;
  slices: Record<string, Bound>;
  /** Null: not in this step. */
  workgroups(shape: StepShape): Workgroups | null;
}

/** Vectors of a call, side by side. */
export interface VectorRegion {
  slice: Slice;
  offsets: Record<string, number>; // constant → floats
}

export function mergeSettings(
  settings: KernelSettings,
  constants: Record<string, number>,
  flags: Record<string, boolean> = {},
  floats: Record<string, number> = {},
): KernelSettings {
  return {
    flags: { ...settings.flags, ...flags },
    constants: { ...settings.constants, ...constants },
    floats: { ...settings.floats, ...floats },
  };
}
