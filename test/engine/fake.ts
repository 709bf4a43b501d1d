import { following } from '../../src/backends/common/ahead.ts';
import { sampleRow } from '../../src/backends/reference/ops/sample.ts';
import type { Executor, ExecutorInfo, MemoryPlan, OutputResult, Step } from '../../src/backends/types.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { EngineInfo } from '../../src/engine/types.ts';
import type { Program } from '../../src/ops/program.ts';
import type { Tokenizer } from '../../src/tokenizer/index.ts';

const mix = (h: number, id: number) => (Math.imul(h ^ (id + 0x9e3779b9), 0x85ebca6b) ^ (h >>> 13)) >>> 0;

/** What the toy model expects after `ids`: its only truth, for oracles. */
export function toyState(ids: Iterable<number>): number {
  let h = 1;
  for (const id of ids) h = mix(h, id);
  return h;
}

export function toyLogits(h: number, vocabSize: number): Float32Array {
  return Float32Array.from({ length: vocabSize }, (_, v) => (mix(h, v * 7 + 1) / 2 ** 32) * 8 - 4);
}

/** Of a slot: the halves of a hash of all that it consumed. */
export const TOY_STATES: Program['states'] = { h: { shape: [2], layout: 'dense' } };

/** A toy recurrence over ids: any id ever consumed changes all that follows. Steps are recorded. */
export class FakeExecutor implements Executor {
  readonly steps: Step[] = [];
  readonly state: Float64Array; // [slots]: a hash of all that the slot consumed
  readonly consumed: Int32Array; // [slots]
  busy = false;
  disposed = false;
  /** Called before every step; may wait, throw, or look. */
  before: (step: Step) => void | Promise<void> = () => {};
  /** Replaces the logits. */
  logits: (h: number, slot: number) => Float32Array;
  copies = 0;
  reads = 0;
  readonly info: ExecutorInfo = {
    backend: 'reference',
    variant: 'toy',
    device: 'test',
    why: 'a test',
    threads: 1,
    numerics: 'exact',
  };
  readonly memory: MemoryPlan = { weightBytes: 0, stateBytes: 0, scratchBytes: 0, totalBytes: 0 };

  constructor(
    readonly program: Program,
    slots: number,
  ) {
    this.state = new Float64Array(slots).fill(12345); // garbage until it is reset
    this.consumed = new Int32Array(slots);
    this.logits = (h) => toyLogits(h, program.vocabSize);
  }

  sink() {
    return { put() {} };
  }
  async ready(): Promise<null> {
    return null;
  }

  async step(step: Step): Promise<OutputResult[]> {
    this.enter();
    try {
      await this.before(step);
      return this.run(step);
    } finally {
      this.busy = false;
    }
  }

  private run(step: Step): OutputResult[] {
    this.steps.push(step);
    const { ids, segments, outputs } = step;
    const rows = segments.reduce((sum, segment) => sum + segment.rows, 0);
    if (rows !== ids.length || rows < 1 || rows > this.program.chunk) throw new Error(`${rows} rows`);
    if (new Set(segments.map(({ slot }) => slot)).size !== segments.length) throw new Error('a slot twice');
    const results: OutputResult[] = [];
    let row = 0;
    for (const { slot, position, rows } of segments) {
      if (position !== this.consumed[slot])
        throw new Error(`slot ${slot} at ${this.consumed[slot]}, not ${position}`);
      for (let i = 0; i < rows; i++, row++) {
        this.state[slot] = mix(this.state[slot]!, ids[row]!);
        this.consumed[slot]!++;
        const output = outputs[results.length];
        if (output?.row !== row) continue;
        const logits = this.logits(this.state[slot]!, slot);
        const result: OutputResult = {};
        if (output.logits) result.logits = logits;
        if (output.target !== undefined) result.target = logSoftmax(logits, output.target);
        if (output.sample) result.sampled = sampleRow(logits, output.sample);
        results.push(result);
      }
    }
    if (results.length !== outputs.length) throw new Error('outputs out of order');
    return results;
  }

  async resetSlot(slot: number): Promise<void> {
    this.write(slot, 1, 0);
  }

  async copySlot(from: number, to: number): Promise<void> {
    this.copies++;
    this.write(to, this.state[from]!, this.consumed[from]!);
  }

  async readSlot(
    slot: number,
    position: number,
    names: readonly string[] = Object.keys(this.program.states),
  ): Promise<Record<string, Float32Array>> {
    this.reads++;
    if (position !== this.consumed[slot]) throw new Error('wrong position');
    const h = Float32Array.of(this.state[slot]! >>> 16, this.state[slot]! & 0xffff);
    return Object.fromEntries(names.map((name) => [name, name === 'h' ? h : new Float32Array(1)]));
  }

  async writeSlot(slot: number, position: number, state: Record<string, Float32Array>): Promise<void> {
    const [high, low] = state.h!;
    this.write(slot, high! * 65536 + low!, position);
  }

  async writeBuffer(): Promise<void> {}
  async readBuffer(): Promise<Float32Array> {
    return new Float32Array(0);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
  }

  private write(slot: number, h: number, consumed: number): void {
    this.enter();
    this.state[slot] = h;
    this.consumed[slot] = consumed;
    this.busy = false;
  }

  private enter(): void {
    if (this.busy) throw new Error('steps and slot operations overlap');
    if (this.disposed) throw new Error('used after dispose');
    this.busy = true;
  }
}

/** One whose states are far from the host, as a GPU's. */
export class DistantExecutor extends FakeExecutor {
  readonly distant = true;
  /** Called before every read. */
  beforeRead: (slot: number, names: readonly string[] | undefined) => void = () => {};

  override readSlot(...args: Parameters<FakeExecutor['readSlot']>) {
    this.beforeRead(args[0], args[2]);
    return super.readSlot(...args);
  }
}

/** One that goes ahead by itself, as a GPU does. */
export class AheadExecutor extends FakeExecutor {
  readonly counts: number[] = []; // of every stepAhead
  readonly untils: number[] = [];

  async stepAhead(step: Step, count: number, until: number): Promise<OutputResult[][]> {
    this.counts.push(count);
    this.untils.push(until);
    const found: OutputResult[][] = [];
    let next: Step = { ...step, outputs: step.outputs.map(({ ends: _, ...output }) => output) }; // beyond all ends
    for (let k = 0; k < count; k++) {
      const results = await this.step(next);
      found.push(results);
      next = following(next, results)!;
    }
    return found;
  }
}

function logSoftmax(logits: Float32Array, id: number): number {
  const max = Math.max(...logits);
  return logits[id]! - max - Math.log(logits.reduce((sum, l) => sum + Math.exp(l - max), 0));
}

export interface FakeOptions {
  vocabSize?: number;
  chunk?: number;
  maxContext?: number;
  maxSessions?: number;
  bos?: number | null;
  eos?: readonly number[];
  tokenizer?: Tokenizer | null;
  maxQueue?: number;
  Executor?: typeof FakeExecutor;
  states?: Program['states'];
  facts?: Partial<EngineInfo>;
}

/** An engine on the toy model. */
export function fakeEngine(options: FakeOptions = {}): { engine: Engine; executor: FakeExecutor } {
  const { vocabSize = 50, chunk = 8, maxContext = Number.POSITIVE_INFINITY, maxSessions = 3 } = options;
  const { bos = 0, eos = [], tokenizer = null, maxQueue = 8 } = options;
  const { Executor = FakeExecutor, states = TOY_STATES } = options;
  const program: Program = {
    buffers: {},
    weights: {},
    states,
    calls: [],
    vocabSize,
    chunk,
    maxContext,
  };
  const facts = { vocabSize, chunk, maxContext, maxSessions, maxQueue };
  const info = toyInfo({ ...facts, bosTokenId: bos, eosTokenIds: eos, ...options.facts });
  const executor = new Executor(program, maxSessions + info.shadowSlots);
  return { engine: new Engine({ executor, program, tokenizer, info }), executor };
}

export function toyInfo(facts: Partial<EngineInfo>): EngineInfo {
  return {
    name: 'toy',
    architecture: 'toy',
    backend: 'reference',
    variant: 'toy',
    device: 'test',
    why: 'a test',
    threads: 1,
    numerics: 'exact',
    weights: { kind: 'float', dtype: 'f32' },
    parameters: 0,
    vocabSize: 50,
    dModel: 1,
    nLayer: 1,
    maxSessions: 3,
    shadowSlots: 1,
    maxContext: Number.POSITIVE_INFINITY,
    chunk: 8,
    slotBytes: 8,
    hostBytes: 0,
    maxHistory: 1000,
    checkpointEvery: 100,
    checkpointBytes: 0,
    cacheBytes: 0,
    spill: 0,
    maxQueue: 8,
    fingerprint: '',
    bosTokenId: 0,
    eosTokenIds: [],
    generationDefaults: {},
    hasTokenizer: false,
    hasChatTemplate: false,
    weightBytes: 0,
    stateBytes: 0,
    scratchBytes: 0,
    totalBytes: 0,
    ...facts,
  };
}
