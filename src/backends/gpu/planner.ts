import { EdgeError } from '../../errors.ts';
import type { View } from '../../ops/contract.ts';
import { callDims, type Program } from '../../ops/program.ts';
import { MAX_BIAS } from '../../ops/sample.ts';
import { elementCount } from '../../weights/shape.ts';
import { type ExecutorOptions, MAX_AHEAD, type WeightFormats } from '../types.ts';
import { batchBytes } from './batch.ts';
import type { Features, Range, Slice, VectorRegion } from './launch.ts';
import { type LinearLayout, linearBytes, linearLayout, splitRows } from './linear/layout.ts';
import { OUTPUT_BYTES, RESULT_BYTES } from './outputs.ts';
import { type StateLayout, stateLayout } from './states.ts';
import type { Tuning } from './tuning.ts';

export type BufferKind = 'weights' | 'state' | 'scratch';

export interface PlannedBuffer {
  bytes: number;
  kind: BufferKind;
}

/** A linear weight's rows [first, first + rows) in two buffers. */
export interface LinearPart {
  first: number;
  rows: number;
  words: string; // buffers
  scales: string | null;
}

export interface PlannedLinear {
  layout: LinearLayout;
  parts: LinearPart[];
}

export type PlannedState = StateLayout & { buffer: string };

export type PlanOptions = Pick<ExecutorOptions, 'slots' | 'numerics'>;

/** Rows of logits that one pass over the head makes; a step that wants more runs its tail again. */
const MAX_OUTPUTS = 64;
const ALIGNMENT = 256; // bytes, of a binding's offset

/** Sizes the buffers of a program. Ops add shared buffers and regions of vectors while they describe their launches. */
export class Planner {
  readonly buffers = new Map<string, PlannedBuffer>();
  readonly linears = new Map<string, PlannedLinear>();
  readonly vectors = new Map<string, number[]>(); // bytes in 'vectors', of every copy
  readonly states = new Map<string, PlannedState>();
  readonly maxOutputs: number;
  readonly maxSegments: number;
  readonly logitsStride: number; // floats
  private readonly regions = new Map<string, VectorRegion>();
  private vectorBytes = 0;

  constructor(
    readonly program: Program,
    readonly formats: WeightFormats,
    readonly features: Features,
    readonly options: PlanOptions,
    readonly tuning: Tuning,
  ) {
    const { chunk, vocabSize } = program;
    this.maxOutputs = Math.min(chunk, MAX_OUTPUTS);
    this.maxSegments = Math.min(chunk, options.slots);
    this.logitsStride = Math.ceil(vocabSize / 4) * 4;
    this.takeScratch();
    this.takeWeights();
    this.takeStates();
  }

  /** After the last op. */
  takeVectors(): void {
    this.buffer('vectors', Math.max(this.vectorBytes, ALIGNMENT), 'weights');
  }

  /** Do a few rows of x meet quantized weights as integers? */
  get packedDots(): boolean {
    const { subgroups, packedDots } = this.features;
    return packedDots && subgroups > 0 && this.options.numerics !== 'exact';
  }

  /** Do many rows of x meet weights as f16? */
  get f16(): boolean {
    return this.features.f16 && this.options.numerics !== 'exact';
  }

  /** Constants that every kernel with a batch needs. */
  get batch(): Record<string, number> {
    return { CHUNK: this.program.chunk, SEGMENTS: this.maxSegments, OUTPUTS: this.maxOutputs };
  }

  dims(call: Parameters<typeof callDims>[1]): Record<string, number> {
    return callDims(this.program, call);
  }

  /** Floats from row to row of an activation buffer. */
  stride(buffer: string): number {
    return Math.ceil(this.program.buffers[buffer]!.width / 4) * 4;
  }

  /** Where a view is, as constants `<prefix>_STRIDE` and `<prefix>_OFFSET`. */
  view(prefix: string, view: View): Record<string, number> {
    return { [`${prefix}_STRIDE`]: this.stride(view.buffer), [`${prefix}_OFFSET`]: view.offset };
  }

  activation(view: View): Slice {
    return { buffer: activationBuffer(view.buffer) };
  }

  state(name: string): Slice {
    return { buffer: this.states.get(name)!.buffer };
  }

  /**
   * A range of 'vectors' with its own copy of each of `weights`, and their offsets in floats as constants: a kernel
   * binds it as one, and the same kernel serves all layers. Launches that want the same weights share it.
   */
  region(weights: Record<string, string | undefined>): VectorRegion {
    const key = JSON.stringify(weights);
    const region = this.regions.get(key) ?? this.takeRegion(weights);
    this.regions.set(key, region);
    return region;
  }

  private takeRegion(weights: Record<string, string | undefined>): VectorRegion {
    const begin = Math.ceil(this.vectorBytes / ALIGNMENT) * ALIGNMENT;
    const offsets: Record<string, number> = {};
    let at = begin;
    for (const [constant, name] of Object.entries(weights)) {
      if (name === undefined) continue;
      offsets[constant] = (at - begin) / 4;
      this.vectors.set(name, [...(this.vectors.get(name) ?? []), at]);
      at += 16 * Math.ceil(elementCount(this.program.weights[name]!.shape) / 4);
    }
    this.vectorBytes = Math.max(at, begin + 16);
    return { slice: { buffer: 'vectors', offset: begin, size: this.vectorBytes - begin }, offsets };
  }

  /** With its offset and size; after the last op, since shared buffers grow. */
  range({ buffer, offset = 0, size }: Slice): Range {
    return { buffer, offset, size: size ?? this.buffers.get(buffer)!.bytes - offset };
  }

  buffer(name: string, bytes: number, kind: BufferKind): void {
    const { maxBinding } = this.features;
    if (bytes > maxBinding && kind === 'state')
      throw new EdgeError(
        'OUT_OF_MEMORY',
        `The state '${name}' of all sessions takes ${bytes} bytes, but the GPU binds at most ${maxBinding}: lower maxSessions or maxContext`,
      );
    if (bytes > maxBinding && kind === 'scratch')
      throw new EdgeError(
        'OUT_OF_MEMORY',
        `The buffer '${name}' takes ${bytes} bytes, but the GPU binds at most ${maxBinding}: lower chunk`,
      );
    this.buffers.set(name, { bytes: Math.max(16, Math.ceil(bytes / 4) * 4), kind });
  }

  /** Room that several launches use one after the other: as much as the largest needs. */
  shared(name: string, bytes: number): void {
    this.buffer(name, Math.max(bytes, this.buffers.get(name)?.bytes ?? 0), 'scratch');
  }

  private takeScratch(): void {
    const { chunk, buffers } = this.program;
    const { maxOutputs, logitsStride } = this;
    for (const name of Object.keys(buffers))
      this.buffer(activationBuffer(name), 4 * chunk * this.stride(name), 'scratch');
    this.buffer('batch', batchBytes(chunk, this.maxSegments, maxOutputs), 'scratch');
    this.buffer('outputs', OUTPUT_BYTES * maxOutputs, 'scratch');
    this.buffer('biases', 8 * MAX_BIAS * maxOutputs, 'scratch');
    this.buffer('results', RESULT_BYTES * maxOutputs * MAX_AHEAD, 'scratch');
    this.buffer('logits', 4 * maxOutputs * logitsStride, 'scratch');
    this.buffer('adjusted', 4 * maxOutputs * logitsStride, 'scratch');
  }

  private takeWeights(): void {
    for (const [name, { shape, role }] of Object.entries(this.program.weights)) {
      if (role !== 'linear') continue;
      const format = this.formats[name];
      if (!format) throw new EdgeError('INTERNAL', `no format for weight '${name}'`);
      const [out, cols] = shape as [number, number];
      const layout = linearLayout(cols, format);
      const parts = splitRows(layout, out, this.features.maxBinding).map(({ first, rows }): LinearPart => {
        const bytes = linearBytes(layout, rows);
        const words = `${name} ${first}`;
        const scales = layout.groups > 0 ? `${words} scales` : null;
        this.buffer(words, bytes.words, 'weights');
        if (scales) this.buffer(scales, bytes.scales, 'weights');
        return { first, rows, words, scales };
      });
      this.linears.set(name, { layout, parts });
    }
  }

  private takeStates(): void {
    let largest = 0; // bytes of one slot
    for (const name of Object.keys(this.program.states)) {
      const layout = stateLayout(this.program, name);
      const buffer = `state ${name}`;
      this.states.set(name, { buffer, ...layout });
      this.buffer(buffer, 4 * layout.values * this.options.slots, 'state');
      largest = Math.max(largest, 4 * layout.values);
    }
    const { bytes } = this.buffers.get('logits')!;
    this.buffer('copies', largest, 'scratch');
    const widest = Math.max(0, ...Object.keys(this.program.buffers).map((name) => this.stride(name)));
    const activation = 4 * this.program.chunk * widest;
    this.buffer(
      'staging',
      Math.max(largest, bytes, activation, RESULT_BYTES * this.maxOutputs * MAX_AHEAD),
      'scratch',
    );
  }
}

function activationBuffer(name: string): string {
  return `activation ${name}`;
}
