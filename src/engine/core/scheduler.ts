import {
  type Executor,
  MAX_AHEAD,
  type Output,
  type OutputResult,
  type Segment,
  type Step,
} from '../../backends/types.ts';
import type { EdgeError } from '../../errors.ts';
import type { Call } from './call.ts';
import { EventLoop } from './event_loop.ts';

/** Rows of one slot, more than a step may hold or few. */
export interface Work {
  slot: number;
  position: number; // tokens that the slot has consumed before
  ids: Int32Array; // [rows]
  outputs: readonly Output[]; // `row` counts from the first of `ids`; ascending
  call: Call;
  /** Of one row that is sampled: how many steps may follow from what they sample, this one included; 1 if absent. */
  ahead?: number;
  /** Called with each output as soon as it is there; its arrays are only valid during the call. */
  take?(result: OutputResult, output: Output): void;
}

interface Job {
  work: Work;
  done: number; // rows
  taken: number; // outputs
  resolve(): void;
  reject(error: unknown): void;
}

type Part = { job: Job; rows: number };

/** Steps of one sequence may follow each other for so long before the event loop gets a turn, which takes its time. */
const TURN_MS = 16;
/** Nobody asked for anything for so long: there is time for what can wait. */
const IDLE_MS = 50;
/** Microtasks that a caller may take, after a step, to ask for the next one. */
const HOPS = 64;

/**
 * All steps of one executor, one after the other. What several sequences want at the same time is merged into one
 * ragged batch: a row of each sequence that decodes, and in the room that is left chunks of those that prefill, in
 * turn. The event loop gets its turns, so that aborts and messages come through.
 */
export class Scheduler {
  private decodes: Job[] = []; // one row to go
  private prefills: Job[] = [];
  private operations: (() => Promise<void>)[] = [];
  private readonly events = new EventLoop();
  private running: Promise<void> | null = null;
  private closed: EdgeError | null = null;
  private starved = false; // prefills had to wait in the last step
  private alone = false; // nobody shared the last step, or waited for it
  private lastTurn = 0; // ms
  private later: (() => Promise<boolean>) | null = null; // what can wait
  private quiet = false; // is there time for it?
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly executor: Executor,
    private readonly chunk: number,
  ) {}

  /** Runs all rows of `work`. @throws the reason of an aborted call: some of the rows may have run */
  run(work: Work): Promise<void> {
    if (this.closed) return Promise.reject(this.closed);
    if (work.ids.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.enqueue({ work, done: 0, taken: 0, resolve, reject });
      this.start();
    });
  }

  /** Runs an operation on slots when no step is under way. */
  exclusive<T>(operation: () => Promise<T>): Promise<T> {
    if (this.closed) return Promise.reject(this.closed);
    return new Promise((resolve, reject) => {
      this.operations.push(async () => {
        if (this.closed) reject(this.closed);
        else await operation().then(resolve, reject);
      });
      this.start();
    });
  }

  /** Runs `part` while nobody asks for anything, again and again until it answers that nothing is left. */
  whenIdle(part: () => Promise<boolean>): void {
    this.later = part;
    if (!this.running) this.awaitQuiet();
  }

  /** Rejects everything that waits, and resolves when the step under way has ended. */
  async close(reason: EdgeError): Promise<void> {
    this.closed ??= reason;
    this.later = null;
    clearTimeout(this.timer);
    for (const job of [...this.decodes, ...this.prefills]) job.reject(this.closed);
    this.decodes = [];
    this.prefills = [];
    await this.running;
  }

  private enqueue(job: Job): void {
    const rows = job.work.ids.length - job.done;
    (rows === 1 ? this.decodes : this.prefills).push(job);
  }

  private start(quiet = false): void {
    this.quiet = quiet;
    clearTimeout(this.timer);
    this.running ??= this.loop();
  }

  private awaitQuiet(): void {
    clearTimeout(this.timer);
    if (!this.later) return;
    this.timer = setTimeout(() => this.start(true), IDLE_MS);
    (this.timer as { unref?(): void }).unref?.(); // keeps no process from ending
  }

  private async loop(): Promise<void> {
    for (;;) {
      await this.others();
      if (this.operations.length > 0) {
        for (const operation of this.operations.splice(0)) await operation();
        await this.others(); // those who waited for one
      }
      this.dropAborted();
      const parts = this.compose();
      if (parts.length > 0) await this.step(parts, this.stepsAhead(parts));
      else if (this.operations.length === 0) {
        if (!this.quiet || !this.later) break;
        await this.doLater(this.later);
      }
    }
    this.events.rest();
    this.running = null; // in the same turn: what comes next must start a loop of its own
    this.awaitQuiet();
  }

  /** A part of what can wait. */
  private async doLater(part: () => Promise<boolean>): Promise<void> {
    this.alone = false; // who asks for something now is heard before the next part
    const more = await part().catch(() => false); // the device is gone: whoever needs it will be told
    if (!more) this.later = null;
  }

  /** Waits for callers that may want a part in the next step. */
  private async others(): Promise<void> {
    const idle = () => this.decodes.length + this.prefills.length + this.operations.length === 0;
    if (this.alone && performance.now() - this.lastTurn < TURN_MS)
      for (let hop = 0; hop < HOPS && idle(); hop++) await null;
    else {
      await this.events.turn();
      this.lastTurn = performance.now();
    }
  }

  private dropAborted(): void {
    const keep = (job: Job) => {
      if (job.work.call.aborted) job.reject(job.work.call.reason);
      return !job.work.call.aborted;
    };
    this.decodes = this.decodes.filter(keep);
    this.prefills = this.prefills.filter(keep);
  }

  /** Takes from the queues what the next step runs. A row is always left for a prefill, were it only in turn. */
  private compose(): Part[] {
    const waiting = this.prefills.length > 0;
    const reserved = waiting && (this.chunk > 1 || this.starved) ? 1 : 0;
    const parts: Part[] = this.decodes.splice(0, this.chunk - reserved).map((job) => ({ job, rows: 1 }));
    let room = this.chunk - parts.length;
    this.starved = waiting && room === 0;
    while (room > 0 && this.prefills.length > 0) {
      const job = this.prefills.shift()!;
      const rows = Math.min(room, job.work.ids.length - job.done);
      parts.push({ job, rows });
      room -= rows;
    }
    return parts;
  }

  /** How many steps the device may do by itself: nobody else waits, and each row goes on from its own sample. */
  private stepsAhead(parts: readonly Part[]): number {
    if (!this.executor.stepAhead || this.prefills.length > 0 || this.decodes.length > 0) return 1;
    if (this.operations.length > 0) return 1;
    const most = parts.map(({ job: { work } }) =>
      work.ids.length === 1 && work.outputs.length === 1 && work.outputs[0]!.sample ? (work.ahead ?? 1) : 1,
    );
    return Math.min(MAX_AHEAD, ...most);
  }

  private async step(parts: Part[], count: number): Promise<void> {
    const wasAlone = this.alone;
    this.alone = parts.length === 1 && this.decodes.length + this.prefills.length === 0;
    const until = wasAlone && this.alone ? this.lastTurn + TURN_MS : 0; // who else may want a part can say so
    const wanted = parts.map(({ job, rows }) => outputsWithin(job, rows));
    let steps: (OutputResult | null)[][]; // [count][outputs]
    try {
      const step = toStep(parts, wanted);
      steps =
        count > 1 ? await this.executor.stepAhead!(step, count, until) : [await this.executor.step(step)];
    } catch (error) {
      for (const { job } of parts) job.reject(error);
      return;
    }
    let next = 0;
    for (const [i, { job, rows }] of parts.entries()) {
      const outputs = wanted[i]!;
      const results = steps.map((step) => step.slice(next, next + outputs.length));
      this.deliver(job, rows, outputs, results);
      next += outputs.length;
    }
  }

  private deliver(
    job: Job,
    rows: number,
    outputs: readonly Output[],
    steps: (OutputResult | null)[][],
  ): void {
    try {
      for (const results of steps)
        outputs.forEach((output, i) => {
          if (results[i]) job.work.take?.(results[i], output);
        });
    } catch (error) {
      job.reject(error);
      return;
    }
    job.taken += outputs.length;
    job.done += rows;
    if (job.done === job.work.ids.length) job.resolve();
    else if (this.closed) job.reject(this.closed);
    else this.enqueue(job);
  }
}

/** The outputs that the next `rows` rows of a job give. */
function outputsWithin({ work, done, taken }: Job, rows: number): readonly Output[] {
  let end = taken;
  while (end < work.outputs.length && work.outputs[end]!.row < done + rows) end++;
  return work.outputs.slice(taken, end);
}

function toStep(parts: readonly Part[], wanted: readonly (readonly Output[])[]): Step {
  const ids = new Int32Array(parts.reduce((sum, { rows }) => sum + rows, 0));
  const segments: Segment[] = [];
  const outputs: Output[] = [];
  let first = 0;
  for (const [i, { job, rows }] of parts.entries()) {
    const { slot, position } = job.work;
    ids.set(job.work.ids.subarray(job.done, job.done + rows), first);
    segments.push({ slot, position: position + job.done, rows });
    for (const output of wanted[i]!) outputs.push({ ...output, row: output.row - job.done + first });
    first += rows;
  }
  return { ids, segments, outputs };
}
