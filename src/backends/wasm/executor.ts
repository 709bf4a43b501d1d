import { EdgeError } from '../../errors.ts';
import type { WeightSink } from '../../types.ts';
import { following } from '../common/ahead.ts';
import type { Executor, ExecutorInfo, MemoryPlan, OutputResult, Step } from '../types.ts';
import type { Layout } from './layout.ts';
import { addressOf } from './memory.ts';
import type { Kernels } from './module.ts';
import { Outputs } from './outputs.ts';
import { StepWriter } from './steps.ts';
import type { ThreadPool } from './thread_pool.ts';
import type { ThreadTuner } from './thread_tuner.ts';
import { Weights } from './weights.ts';
import { writeProgram } from './write_program.ts';

/** What an executor is made of, all of it ready but the pool, whose threads join while weights are uploaded. */
export interface Parts {
  layout: Layout;
  memory: WebAssembly.Memory;
  kernels: Kernels;
  pool: ThreadPool | null;
  info: Omit<ExecutorInfo, 'threads'>;
  tuner: ThreadTuner | null; // null: always all threads
  sum16: boolean; // integer dots have sums of 16 bits
}

/** One model in one WebAssembly memory. A whole step is one call into the module. */
export class WasmExecutor implements Executor {
  readonly memory: MemoryPlan;
  private readonly layout: Layout;
  private readonly weights: Weights;
  private readonly steps: StepWriter;
  private readonly outputs: Outputs;
  private parts: Parts | null; // null once disposed

  constructor(parts: Parts) {
    const { layout, memory, sum16 } = parts;
    this.parts = parts;
    this.layout = layout;
    this.memory = layout.plan;
    this.weights = new Weights(memory.buffer, layout, parts.kernels, parts.pool);
    this.steps = new StepWriter(memory.buffer, layout, sum16);
    this.outputs = new Outputs(memory.buffer, layout, layout.program.vocabSize);
    writeProgram(memory.buffer, layout);
  }

  get info(): ExecutorInfo {
    const { info, pool } = this.alive();
    const why = pool?.fault ? `${info.why}; ${pool.fault}` : info.why;
    return { ...info, threads: pool?.size ?? 1, why };
  }

  sink(name: string): WeightSink {
    this.alive();
    return this.weights.sink(name);
  }

  async ready(): Promise<string | null> {
    await this.alive().pool?.started;
    return this.weights.finish();
  }

  async step(step: Step): Promise<OutputResult[]> {
    const parts = this.alive();
    this.steps.write(step);
    const { callList, tail, maxOutputs } = this.layout;
    const { outputs } = step;
    const results: OutputResult[] = [];
    const last = outputs.length > 0 ? callList.length : tail < 0 ? callList.length : tail;
    for (let begin = 0; begin === 0 || begin < outputs.length; begin += maxOutputs) {
      const part = outputs.slice(begin, begin + maxOutputs);
      this.steps.writeOutputs(part, this.outputs);
      this.run(parts, step.ids.length, begin === 0 ? 0 : tail, last);
      for (const [i, output] of part.entries()) results.push(this.outputs.read(i, output));
    }
    return results;
  }

  async stepAhead(step: Step, count: number, until = Number.POSITIVE_INFINITY): Promise<OutputResult[][]> {
    const most = step.outputs.some(({ watched }) => watched) ? 1 : count;
    const found: OutputResult[][] = [];
    for (let next: Step | null = step; next; ) {
      const results = await this.step(next);
      found.push(results);
      next = found.length < most && performance.now() < until ? following(next, results) : null;
    }
    return found;
  }

  private run({ kernels, pool, tuner }: Parts, rows: number, first: number, last: number): void {
    const { layout } = this;
    const available = pool?.size ?? 1;
    const threads = tuner ? tuner.threads(rows, available) : available;
    this.steps.writeRange(first, last, threads);
    const begin = performance.now();
    const lost = kernels.step(addressOf(layout.pool), addressOf(layout.step));
    if (available > 1 && first === 0) tuner?.record(rows, threads, performance.now() - begin);
    if (!lost) return;
    this.dispose().catch(() => {});
    throw new EdgeError(
      'WORKER_DIED',
      'A thread of the WASM backend stopped in the middle of a step: load the model again',
    );
  }

  async resetSlot(slot: number): Promise<void> {
    for (const name of this.layout.states.keys()) this.state(name, slot).fill(0);
  }

  async copySlot(from: number, to: number): Promise<void> {
    for (const name of this.layout.states.keys()) this.state(name, to).set(this.state(name, from));
  }

  async readSlot(
    slot: number,
    position: number,
    names?: readonly string[],
  ): Promise<Record<string, Float32Array>> {
    const values: Record<string, Float32Array> = {};
    for (const [name, { layout }] of this.layout.states)
      if (names?.includes(name) ?? true) values[name] = layout.read(this.state(name, slot), position);
    return values;
  }

  async writeSlot(slot: number, position: number, state: Record<string, Float32Array>): Promise<void> {
    for (const [name, { layout }] of this.layout.states) {
      const values = state[name];
      if (values?.length !== layout.values)
        throw fault(`state '${name}' needs ${layout.values} values, found ${values?.length ?? 'none'}`);
      layout.write(this.state(name, slot), position, values);
    }
  }

  async writeBuffer(name: string, data: Float32Array): Promise<void> {
    const { rows, stride, width, values } = this.buffer(name);
    if (data.length !== rows * width)
      throw fault(`buffer '${name}' has ${rows * width} values, found ${data.length}`);
    for (let row = 0; row < rows; row++)
      values.set(data.subarray(row * width, (row + 1) * width), row * stride);
  }

  async readBuffer(name: string): Promise<Float32Array> {
    const { rows, stride, width, values } = this.buffer(name);
    const data = new Float32Array(rows * width); // [chunk, width]
    for (let row = 0; row < rows; row++)
      data.set(values.subarray(row * stride, row * stride + width), row * width);
    return data;
  }

  async dispose(): Promise<void> {
    const { parts } = this;
    this.parts = null;
    if (!parts?.pool) return;
    parts.kernels.pool_stop?.(addressOf(this.layout.pool));
    await parts.pool.terminate();
  }

  private alive(): Parts {
    if (!this.parts) throw new EdgeError('CLOSED', 'This WASM executor was disposed');
    return this.parts;
  }

  /** What is stored of a state, in the slot's own order. */
  private state(name: string, slot: number): Float32Array {
    const { offset, stride, layout } = this.layout.states.get(name)!;
    const slots = this.layout.slots;
    if (!(slot >= 0 && slot < slots)) throw fault(`slot ${slot} of ${slots}`);
    return new Float32Array(this.alive().memory.buffer, offset + slot * stride, layout.floats);
  }

  private buffer(name: string) {
    const place = this.layout.buffers.get(name);
    if (!place) throw fault(`no buffer '${name}'`);
    const rows = this.layout.program.chunk;
    const { offset, stride, width } = place;
    const values = new Float32Array(this.alive().memory.buffer, offset, rows * stride); // [chunk, stride]
    return { rows, stride, width, values };
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WASM executor: ${message}`);
}
