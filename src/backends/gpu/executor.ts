import { EdgeError } from '../../errors.ts';
import type { WeightSink } from '../../types.ts';
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
import type { Dispatch, GpuDevice } from './device.ts';
import type { Range, StepShape } from './launch.ts';
import { OutputWriter, RESULT_BYTES, readResult } from './outputs.ts';
import type { GpuPlan, PlannedActivation } from './plan.ts';
import { StepWriter } from './steps.ts';
import { Weights } from './weights.ts';

/** The GPU works on these while the host encodes the next; the first has one, so that it starts early. */
const STEPS_A_SUBMIT = 2;

/** One model on one GPU device. What is read back of a step is what its outputs ask for. */
export class GpuExecutor implements Executor {
  readonly distant = true;
  readonly memory: MemoryPlan;
  private readonly weights: Weights;
  private readonly steps: StepWriter;
  private readonly outputs: OutputWriter;
  private underway: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly plan: GpuPlan,
    private readonly device: GpuDevice,
    readonly info: ExecutorInfo,
  ) {
    this.memory = plan.memory;
    this.weights = new Weights(plan, (buffer, offset, data) => {
      device.check();
      device.write(buffer, offset, data);
    });
    this.steps = new StepWriter(plan);
    this.outputs = new OutputWriter(plan.maxOutputs, plan.program.vocabSize);
  }

  get lost(): boolean {
    return this.device.lost;
  }

  sink(name: string): WeightSink {
    this.device.check();
    return this.weights.sink(name);
  }

  async ready(): Promise<string | null> {
    const nonFinite = this.weights.finish();
    await this.device.settle();
    return nonFinite;
  }

  async step(step: Step): Promise<OutputResult[]> {
    this.device.check();
    const shape = this.steps.write(step, false);
    const { outputs } = step;
    if (outputs.length === 0) {
      this.device.run(this.dispatches({ ...shape, ...this.describe([]) }, 0, this.plan.tail), 1);
      // One step may wait behind the one that runs; more would only be out of reach of an abort.
      const before = this.underway;
      this.underway = this.device.settle();
      this.underway.catch(() => {});
      await before;
      return [];
    }
    const results: OutputResult[] = [];
    for (let begin = 0; begin < outputs.length; begin += this.plan.maxOutputs) {
      const part = outputs.slice(begin, begin + this.plan.maxOutputs);
      const described = this.describe(part);
      this.device.run(this.dispatches({ ...shape, ...described }, begin === 0 ? 0 : this.plan.tail), 1);
      results.push(...(await this.collect(part, described)));
    }
    return results;
  }

  async stepAhead(step: Step, count: number): Promise<(OutputResult | null)[][]> {
    this.device.check();
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
    const dispatches = this.dispatches(described, 0);
    const size = RESULT_BYTES * outputs.length;
    for (let done = 0, end = 1; done < count; done = end, end = Math.min(count, end + STEPS_A_SUBMIT))
      this.device.run(dispatches, end - done);
    const [bytes] = await this.device.read([{ buffer: 'results', offset: 0, size: count * size }]);
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
        this.device.write(
          'biases',
          4 * i * width,
          this.outputs.biases.subarray(i * width, i * width + 2 * biases),
        );
    }
    this.device.write('batch', 0, this.steps.words);
    if (part.length > 0) this.device.write('outputs', 0, this.outputs.words(part.length));
    return { outputs: part.length, logitRows, of };
  }

  /** What of launches [first, last) a step of this shape needs. */
  private dispatches(shape: StepShape, first: number, last = this.plan.launches.length): Dispatch[] {
    return this.plan.launches.slice(first, last).flatMap((launch, i) => {
      const workgroups = launch.workgroups(shape);
      return workgroups ? [{ launch: first + i, workgroups }] : [];
    });
  }

  private async collect(part: Step['outputs'], { of }: { of: number[] }): Promise<OutputResult[]> {
    const wanted = part.flatMap((output, i) => (output.logits ? [i] : []));
    const { logitsStride, program } = this.plan;
    const [bytes, ...rows] = await this.device.read([
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
    this.device.clear(this.slot(slot));
  }

  async copySlot(from: number, to: number): Promise<void> {
    this.device.copy(this.slot(from), this.slot(to));
  }

  async readSlot(
    slot: number,
    position: number,
    names: readonly string[] = [...this.plan.states.keys()],
  ): Promise<Record<string, Float32Array>> {
    const ranges = this.slot(slot);
    const wanted = [...this.plan.states].flatMap(([name, layout], i) =>
      names.includes(name) ? [{ name, layout, range: ranges[i]! }] : [],
    );
    const stored = await this.device.read(wanted.map(({ range }) => range));
    return Object.fromEntries(
      wanted.map(({ name, layout }, i) => [name, layout.read(new Float32Array(stored[i]!), position)]),
    );
  }

  async writeSlot(slot: number, position: number, state: Record<string, Float32Array>): Promise<void> {
    const ranges = this.slot(slot);
    for (const [i, [name, layout]] of [...this.plan.states].entries()) {
      const values = state[name];
      if (values?.length !== layout.values)
        throw fault(`state '${name}' needs ${layout.values} values, found ${values?.length ?? 'none'}`);
      this.device.write(ranges[i]!.buffer, ranges[i]!.offset, layout.write(position, values));
    }
  }

  async writeBuffer(name: string, data: Float32Array): Promise<void> {
    const { buffer, stride, width } = this.activation(name);
    const rows = this.plan.program.chunk;
    if (data.length !== rows * width)
      throw fault(`buffer '${name}' has ${rows * width} values, found ${data.length}`);
    const padded = new Float32Array(rows * stride);
    for (let row = 0; row < rows; row++)
      padded.set(data.subarray(row * width, (row + 1) * width), row * stride);
    this.device.write(buffer, 0, padded);
  }

  async readBuffer(name: string): Promise<Float32Array> {
    const { buffer, stride, width } = this.activation(name);
    const rows = this.plan.program.chunk;
    const [bytes] = await this.device.read([{ buffer, offset: 0, size: 4 * rows * stride }]);
    const stored = new Float32Array(bytes!);
    const data = new Float32Array(rows * width); // [chunk, width]
    for (let row = 0; row < rows; row++)
      data.set(stored.subarray(row * stride, row * stride + width), row * width);
    return data;
  }

  async dispose(): Promise<void> {
    this.device.dispose();
  }

  /** Where the states of a slot lie. */
  private slot(slot: number): Range[] {
    this.device.check();
    const { slots } = this.plan.options;
    if (!(slot >= 0 && slot < slots)) throw fault(`slot ${slot} of ${slots}`);
    return [...this.plan.states.values()].map(({ buffer, values }) => ({
      buffer,
      offset: 4 * values * slot,
      size: 4 * values,
    }));
  }

  private activation(name: string): PlannedActivation {
    const activation = this.plan.activations.get(name);
    if (!activation) throw fault(`no buffer '${name}'`);
    return activation;
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `GPU executor: ${message}`);
}
