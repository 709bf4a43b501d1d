import { EdgeError } from '../../errors.ts';
import type { WeightSink } from '../../types.ts';
import type { Shape, Workgroups } from '../gpu/launch.ts';
import { OutputWriter, RESULT_BYTES, readResult } from '../gpu/outputs.ts';
import { activationBuffer, type Plan, stateBuffer } from '../gpu/plan.ts';
import { StepWriter } from '../gpu/steps.ts';
import { Weights } from '../gpu/weights.ts';
import {
  type Executor,
  type ExecutorInfo,
  MAX_AHEAD,
  MAX_ENDS,
  type MemoryPlan,
  type Output,
  type OutputResult,
  type Step,
} from '../types.ts';
import { Memory } from './memory.ts';
import { createDispatches, type Dispatch } from './pipelines.ts';

/** The GPU works on these while the host encodes the next; the first has one, so that it starts early. */
const STEPS_A_SUBMIT = 2;

/** Allocates, compiles and binds. On failure the device is given back. */
export async function createExecutor(
  device: GPUDevice,
  plan: Plan,
  info: ExecutorInfo,
): Promise<WebgpuExecutor> {
  try {
    const memory = await Memory.allocate(device, plan);
    return new WebgpuExecutor(plan, memory, await createDispatches(device, plan, memory.buffers), info);
  } catch (error) {
    device.destroy();
    throw error;
  }
}

/** One model on one GPU device. A step is one compute pass; what is read back is what its outputs ask for. */
export class WebgpuExecutor implements Executor {
  readonly memory: MemoryPlan;
  private readonly weights: Weights;
  private readonly steps: StepWriter;
  private readonly outputs: OutputWriter;
  private underway: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly plan: Plan,
    private readonly gpu: Memory,
    private readonly dispatches: readonly Dispatch[],
    readonly info: ExecutorInfo,
  ) {
    this.memory = plan.memory;
    this.weights = new Weights(plan, (buffer, offset, data) => {
      gpu.check();
      gpu.write(buffer, offset, data);
    });
    this.steps = new StepWriter(plan);
    this.outputs = new OutputWriter(plan.maxOutputs, plan.program.vocabSize);
  }

  get lost(): boolean {
    return this.gpu.lost;
  }

  sink(name: string): WeightSink {
    this.gpu.check();
    return this.weights.sink(name);
  }

  async ready(): Promise<string | null> {
    const nonFinite = this.weights.finish();
    await this.gpu.settle();
    return nonFinite;
  }

  async step(step: Step): Promise<OutputResult[]> {
    this.gpu.check();
    const shape = this.steps.write(step, false);
    const { outputs } = step;
    if (outputs.length === 0) {
      this.submit({ ...shape, ...this.describe([]) }, 0, this.plan.tail);
      // One step may wait behind the one that runs; more would only be out of reach of an abort.
      const before = this.underway;
      this.underway = this.gpu.settle();
      this.underway.catch(() => {});
      await before;
      return [];
    }
    const results: OutputResult[] = [];
    for (let begin = 0; begin < outputs.length; begin += this.plan.maxOutputs) {
      const part = outputs.slice(begin, begin + this.plan.maxOutputs);
      const described = this.describe(part);
      this.submit({ ...shape, ...described }, begin === 0 ? 0 : this.plan.tail);
      results.push(...(await this.collect(part, described)));
    }
    return results;
  }

  async stepAhead(step: Step, count: number): Promise<(OutputResult | null)[][]> {
    this.gpu.check();
    const { outputs } = step;
    const shape = this.steps.write(step, true);
    if (
      !(
        shape.single &&
        count <= MAX_AHEAD &&
        outputs.length === shape.rows &&
        outputs.length <= this.plan.maxOutputs
      )
    )
      throw fault(
        `${count} steps ahead of ${shape.rows} rows in ${shape.segments} slots, ${outputs.length} outputs`,
      );
    const described = { ...shape, ...this.describe(outputs) };
    const launches = this.launches(described, 0);
    const size = RESULT_BYTES * outputs.length;
    for (let done = 0, end = 1; done < count; done = end, end = Math.min(count, end + STEPS_A_SUBMIT))
      this.gpu.submit((encoder) => {
        const pass = encoder.beginComputePass();
        for (let k = done; k < end; k++) encode(pass, launches);
        pass.end();
      });
    const [bytes] = await this.gpu.read([{ buffer: 'results', offset: 0, size: count * size }]);
    const ended = new Set<Output>();
    return Array.from({ length: count }, (_, k) =>
      outputs.map((output, i) => {
        if (ended.has(output)) return null;
        const result = readResult(bytes!, k * outputs.length + i, output);
        if (output.ends?.slice(0, MAX_ENDS).includes(result.sampled!.id)) ended.add(output);
        return result;
      }),
    );
  }

  /** Hands outputs and the step's description to the GPU. */
  private describe(part: Step['outputs']): { outputs: number; logitRows: number; of: number[] } {
    const { logitRows, of } = this.steps.writeOutputs(part);
    for (const [i, output] of part.entries()) {
      const biases = this.outputs.write(i, of[i]!, output);
      const width = this.outputs.biases.length / this.plan.maxOutputs;
      if (biases > 0)
        this.gpu.write(
          'biases',
          4 * i * width,
          this.outputs.biases.subarray(i * width, i * width + 2 * biases),
        );
    }
    this.gpu.write('batch', 0, this.steps.words);
    if (part.length > 0) this.gpu.write('outputs', 0, this.outputs.words(part.length));
    return { outputs: part.length, logitRows, of };
  }

  private submit(shape: Shape, first: number, last = this.dispatches.length): void {
    this.gpu.submit((encoder) => {
      const pass = encoder.beginComputePass();
      encode(pass, this.launches(shape, first, last));
      pass.end();
    });
  }

  /** What of dispatches [first, last) a step of this shape needs. */
  private launches(shape: Shape, first: number, last = this.dispatches.length): Launched[] {
    return this.dispatches.slice(first, last).flatMap(({ pipeline, bindings, workgroups }) => {
      const groups = workgroups(shape);
      return groups ? [{ pipeline, bindings, groups }] : [];
    });
  }

  private async collect(part: Step['outputs'], { of }: { of: number[] }): Promise<OutputResult[]> {
    const wanted = part.flatMap((output, i) => (output.logits ? [i] : []));
    const { logitsStride, program } = this.plan;
    const [bytes, ...rows] = await this.gpu.read([
      { buffer: 'results', offset: 0, size: RESULT_BYTES * part.length },
      ...wanted.map((i) => ({
        buffer: 'logits',
        offset: 4 * of[i]! * logitsStride,
        size: 4 * program.vocabSize,
      })),
    ]);
    const results = part.map((output, i) => readResult(bytes!, i, output));
    for (const [k, i] of wanted.entries()) results[i]!.logits = new Float32Array(rows[k]!);
    return results;
  }

  async resetSlot(slot: number): Promise<void> {
    this.gpu.submit((encoder) => {
      for (const { buffer, offset, size } of this.slot(slot))
        encoder.clearBuffer(this.gpu.buffer(buffer), offset, size);
    });
  }

  /** Through a buffer of its own: WebGPU copies nothing within one. */
  async copySlot(from: number, to: number): Promise<void> {
    const targets = this.slot(to);
    const copies = this.gpu.buffer('copies');
    this.gpu.submit((encoder) => {
      for (const [i, { buffer, offset, size }] of this.slot(from).entries()) {
        encoder.copyBufferToBuffer(this.gpu.buffer(buffer), offset, copies, 0, size);
        encoder.copyBufferToBuffer(copies, 0, this.gpu.buffer(buffer), targets[i]!.offset, size);
      }
    });
  }

  async readSlot(slot: number, position: number): Promise<Record<string, Float32Array>> {
    const stored = await this.gpu.read(this.slot(slot));
    const layouts = [...this.plan.states];
    return Object.fromEntries(
      layouts.map(([name, layout], i) => [name, layout.read(new Float32Array(stored[i]!), position)]),
    );
  }

  async writeSlot(slot: number, position: number, state: Record<string, Float32Array>): Promise<void> {
    const ranges = this.slot(slot);
    for (const [i, [name, layout]] of [...this.plan.states].entries()) {
      const values = state[name];
      if (values?.length !== layout.values)
        throw fault(`state '${name}' needs ${layout.values} values, found ${values?.length ?? 'none'}`);
      this.gpu.write(ranges[i]!.buffer, ranges[i]!.offset, layout.write(position, values));
    }
  }

  async writeBuffer(name: string, data: Float32Array): Promise<void> {
    const { rows, stride, width } = this.activation(name);
    if (data.length !== rows * width)
      throw fault(`buffer '${name}' has ${rows * width} values, found ${data.length}`);
    const padded = new Float32Array(rows * stride);
    for (let row = 0; row < rows; row++)
      padded.set(data.subarray(row * width, (row + 1) * width), row * stride);
    this.gpu.write(activationBuffer(name), 0, padded);
  }

  async readBuffer(name: string): Promise<Float32Array> {
    const { rows, stride, width } = this.activation(name);
    const [bytes] = await this.gpu.read([
      { buffer: activationBuffer(name), offset: 0, size: 4 * rows * stride },
    ]);
    const stored = new Float32Array(bytes!);
    const data = new Float32Array(rows * width); // [chunk, width]
    for (let row = 0; row < rows; row++)
      data.set(stored.subarray(row * stride, row * stride + width), row * width);
    return data;
  }

  async dispose(): Promise<void> {
    this.gpu.dispose();
  }

  /** Where the states of a slot lie. */
  private slot(slot: number): { buffer: string; offset: number; size: number }[] {
    this.gpu.check();
    const { slots } = this.plan.options;
    if (!(slot >= 0 && slot < slots)) throw fault(`slot ${slot} of ${slots}`);
    return [...this.plan.states].map(([name, { values }]) => ({
      buffer: stateBuffer(name),
      offset: 4 * values * slot,
      size: 4 * values,
    }));
  }

  private activation(name: string) {
    const buffer = this.plan.program.buffers[name];
    if (!buffer) throw fault(`no buffer '${name}'`);
    return { rows: this.plan.program.chunk, stride: this.plan.stride(name), width: buffer.width };
  }
}

interface Launched {
  pipeline: GPUComputePipeline;
  bindings: GPUBindGroup;
  groups: Workgroups;
}

function encode(pass: GPUComputePassEncoder, launches: readonly Launched[]): void {
  for (const { pipeline, bindings, groups } of launches) {
    const [x, y, z] = groups;
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    // Runtimes convert each argument: a seventh of the call.
    if (z > 1) pass.dispatchWorkgroups(x, y, z);
    else if (y > 1) pass.dispatchWorkgroups(x, y);
    else pass.dispatchWorkgroups(x);
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WebGPU executor: ${message}`);
}
