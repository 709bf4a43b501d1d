import { EdgeError } from '../../errors.ts';
import type { View } from '../../ops/contract.ts';
import { applyOp } from '../../ops/index.ts';
import { checkProgram, type Program } from '../../ops/program.ts';
import type { WeightSink } from '../../types.ts';
import { holdsNonFinite } from '../../weights/non_finite.ts';
import { elementCount } from '../../weights/shape.ts';
import { checkStep } from '../common/checks.ts';
import { Uploads } from '../common/uploads.ts';
import type { Executor, ExecutorInfo, ExecutorOptions, MemoryPlan, OutputResult, Step } from '../types.ts';
import type { PlacedSegment, SlotState, StepContext } from './context.ts';
import { dequantize } from './dequantize.ts';
import { kernels } from './ops/index.ts';
import { fromCanonical, toCanonical } from './slots.ts';

interface Weight {
  shape: readonly number[];
  data: Float64Array; // [...shape]
}

/** Runs programs in float64, one row after the other, as the op contracts read. For tests only. */
export class ReferenceExecutor implements Executor {
  readonly info: ExecutorInfo;
  private readonly uploads: Uploads;
  private readonly weights = new Map<string, Weight>();
  private readonly buffers = new Map<string, { width: number; data: Float64Array }>(); // [chunk, width]
  private readonly slots: Map<string, SlotState>[]; // [slots] by state name

  constructor(
    private readonly program: Program,
    options: ExecutorOptions,
    readonly memory: MemoryPlan,
  ) {
    checkProgram(program);
    this.info = {
      backend: 'reference',
      variant: 'float64',
      device: 'JavaScript',
      why: 'asked for by a test',
      threads: 1,
      numerics: 'exact',
    };
    this.uploads = new Uploads('Reference weights', program.weights);
    for (const [name, { shape }] of Object.entries(program.weights))
      this.weights.set(name, { shape, data: zeros(shape) });
    for (const [name, { width }] of Object.entries(program.buffers))
      this.buffers.set(name, { width, data: zeros([program.chunk, width]) });
    this.slots = Array.from({ length: options.slots }, () => new Map());
    for (const slot of this.slots)
      for (const [name, { shape }] of Object.entries(program.states))
        slot.set(name, { shape, data: zeros(shape) });
  }

  sink(name: string): WeightSink {
    this.uploads.spec(name);
    const { data } = this.weights.get(name)!;
    return {
      put: (row, tensor) =>
        this.uploads.accept(name, row, tensor, () => {
          data.set(dequantize(tensor), row * tensor.cols);
          return holdsNonFinite(tensor);
        }),
    };
  }

  async ready(): Promise<string | null> {
    return this.uploads.finish();
  }

  async step(step: Step): Promise<OutputResult[]> {
    const ctx = this.context(step);
    for (const call of this.program.calls) applyOp(kernels, call, ctx);
    return ctx.results;
  }

  async resetSlot(slot: number): Promise<void> {
    for (const { data } of this.slot(slot).values()) data.fill(0);
  }

  async copySlot(from: number, to: number): Promise<void> {
    for (const [name, { data }] of this.slot(from)) this.slot(to).get(name)!.data.set(data);
  }

  async readSlot(
    slot: number,
    position: number,
    names?: readonly string[],
  ): Promise<Record<string, Float32Array>> {
    const states: Record<string, Float32Array> = {};
    for (const [name, { data }] of this.slot(slot))
      if (names?.includes(name) ?? true)
        states[name] = Float32Array.from(toCanonical(data, this.program.states[name]!, position));
    return states;
  }

  async writeSlot(slot: number, position: number, states: Record<string, Float32Array>): Promise<void> {
    for (const [name, { data }] of this.slot(slot)) {
      const values = states[name];
      if (values?.length !== data.length)
        throw fault(`state '${name}' needs ${data.length} values, found ${values?.length ?? 'none'}`);
      data.set(fromCanonical(Float64Array.from(values), this.program.states[name]!, position));
    }
  }

  async writeBuffer(name: string, data: Float32Array): Promise<void> {
    const buffer = this.buffer(name);
    if (data.length !== buffer.data.length)
      throw fault(`buffer '${name}' has ${buffer.data.length} values, found ${data.length}`);
    buffer.data.set(data);
  }

  async readBuffer(name: string): Promise<Float32Array> {
    return Float32Array.from(this.buffer(name).data);
  }

  async dispose(): Promise<void> {
    this.weights.clear();
    this.buffers.clear();
    this.slots.length = 0;
  }

  private context(step: Step): StepContext {
    checkStep('Reference step', step, this.program, this.slots.length);
    const { ids, outputs } = step;
    let rows = 0;
    const segments: PlacedSegment[] = [];
    for (const segment of step.segments) {
      segments.push({ ...segment, first: rows });
      rows += segment.rows;
    }
    return {
      ids,
      rows,
      segments,
      outputs,
      results: outputs.map(() => ({})),
      logits: new Map(),
      weight: (name) => this.weights.get(name)!,
      state: (name, slot) => this.slot(slot).get(name)!,
      row: (view, row) => this.row(view, row),
    };
  }

  private row(view: View, row: number): Float64Array {
    const { width, data } = this.buffer(view.buffer);
    const begin = row * width + view.offset;
    return data.subarray(begin, begin + view.width);
  }

  private buffer(name: string): { width: number; data: Float64Array } {
    const buffer = this.buffers.get(name);
    if (!buffer) throw fault(`no buffer '${name}'`);
    return buffer;
  }

  private slot(index: number): Map<string, SlotState> {
    const slot = this.slots[index];
    if (!slot) throw fault(`slot ${index} of ${this.slots.length}`);
    return slot;
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `Reference executor: ${message}`);
}

function zeros(shape: readonly number[]): Float64Array {
  return new Float64Array(elementCount(shape));
}
