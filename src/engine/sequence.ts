import type { Executor, Output, OutputResult } from '../backends/types.ts';
import { EdgeError } from '../errors.ts';
import type { Program } from '../ops/program.ts';
import { MAX_RECENT } from '../ops/sample.ts';
import type { SlotArena } from '../state/arena.ts';
import type { Call } from './call.ts';
import type { Scheduler } from './scheduler.ts';

/** What sequences run on: one for every engine. */
export interface Device {
  executor: Executor;
  program: Program;
  scheduler: Scheduler;
  arena: SlotArena;
}

/** What a sequence knows beside its slot's state. */
interface Memory {
  position: number;
  pending: number | null;
  recent: readonly number[];
}

/** A way back to the state that a sequence had. */
export interface Checkpoint {
  restore(): Promise<void>;
  /** Frees what holds the state; no way back then. */
  release(): void;
}

/**
 * A slot's state and the token that it has not consumed yet (DESIGN §5): the last token of a sequence, given or
 * sampled, is always pending. `position` counts consumed tokens.
 */
export class Sequence {
  position = 0;
  private pending: number | null = null;
  private recent: number[] = []; // the last ids, pending one included; ≤ MAX_RECENT

  private constructor(
    private readonly device: Device,
    private readonly slot: number,
  ) {}

  /** A fresh sequence in a slot of its own. @throws OUT_OF_MEMORY if all slots are taken */
  static async open(device: Device): Promise<Sequence> {
    const slot = device.arena.acquire();
    try {
      await device.scheduler.exclusive(() => device.executor.resetSlot(slot));
    } catch (error) {
      device.arena.release(slot);
      throw error;
    }
    return new Sequence(device, slot);
  }

  get fresh(): boolean {
    return this.position === 0 && this.pending === null;
  }

  /** Consumes the pending token and `ids`, but for the last one, which is pending then. */
  async append(ids: Int32Array, call: Call): Promise<void> {
    if (ids.length === 0) return;
    const rows = this.unconsumed(ids);
    this.pending = rows.at(-1)!;
    this.remember(ids);
    await this.consume(rows.subarray(0, -1), [], call);
  }

  /** Consumes the pending token and `ids`, and what `output` says of the last of them. No token is pending then. */
  async predict(ids: Int32Array, output: Omit<Output, 'row'>, call: Call): Promise<OutputResult> {
    const rows = this.unconsumed(ids);
    if (rows.length === 0) throw new EdgeError('INTERNAL', 'A prediction from no token');
    this.requireRoom(rows.length);
    this.pending = null;
    this.remember(ids);
    let found: OutputResult = {};
    await this.consume(rows, [{ ...output, row: rows.length - 1 }], call, (result) => {
      found = result.logits ? { ...result, logits: result.logits.slice() } : result;
    });
    return found;
  }

  /** Consumes `ids`, and hands over each of `outputs` as it comes. */
  async consume(
    ids: Int32Array,
    outputs: readonly Output[],
    call: Call,
    take?: (result: OutputResult, output: Output) => void,
  ): Promise<void> {
    call.check();
    const { slot, position } = this;
    this.requireRoom(ids.length);
    await this.device.scheduler.run({ slot, position, ids, outputs, call, ...(take ? { take } : {}) });
    this.position += ids.length;
  }

  /** Makes `id` the pending token: what `predict` led to. */
  follow(id: number): void {
    this.pending = id;
    this.remember([id]);
  }

  /** Ids that penalties look at, `ids` being the next to come: oldest first. */
  recentWith(ids: Int32Array): Int32Array {
    if (ids.length >= MAX_RECENT) return ids.slice(-MAX_RECENT);
    return Int32Array.from([...this.recent, ...ids].slice(-MAX_RECENT));
  }

  /** How many rows `predict(ids)` consumes. */
  rowsWith(ids: Int32Array): number {
    return ids.length + (this.pending === null ? 0 : 1);
  }

  /** @throws CONTEXT_FULL unless `rows` more tokens fit */
  requireRoom(rows: number): void {
    const { maxContext } = this.device.program;
    if (this.position + rows <= maxContext) return;
    throw new EdgeError(
      'CONTEXT_FULL',
      `This model's attention is unbounded, and was given room for ${maxContext} tokens (maxContext): ` +
        `${this.position} are taken, and ${rows} more don't fit. Reset the session, or load with a larger maxContext`,
    );
  }

  async reset(): Promise<void> {
    await this.device.scheduler.exclusive(() => this.device.executor.resetSlot(this.slot));
    this.remind({ position: 0, pending: null, recent: [] });
  }

  release(): void {
    this.device.arena.release(this.slot);
  }

  /**
   * Sets the state aside: nothing for a fresh slot, else in a shadow slot, or in memory of its own where sessions
   * that generate at the same time have taken those.
   */
  async checkpoint(): Promise<Checkpoint> {
    const { executor, scheduler, arena } = this.device;
    const { slot, position } = this;
    const memory: Memory = { position, pending: this.pending, recent: this.recent.slice() };
    const checkpoint = (write: () => Promise<void>, release = () => {}): Checkpoint => ({
      restore: async () => {
        await scheduler.exclusive(write);
        this.remind(memory);
      },
      release,
    });
    if (position === 0) return checkpoint(() => executor.resetSlot(slot));
    const shadow = arena.acquireShadow();
    if (shadow !== null) {
      try {
        await scheduler.exclusive(() => executor.copySlot(slot, shadow));
      } catch (error) {
        arena.release(shadow);
        throw error;
      }
      return checkpoint(
        () => executor.copySlot(shadow, slot),
        once(() => arena.release(shadow)),
      );
    }
    const state = await scheduler.exclusive(() => executor.readSlot(slot, position));
    return checkpoint(() => executor.writeSlot(slot, position, state));
  }

  /** The pending token, and `ids` after it. */
  private unconsumed(ids: Int32Array): Int32Array {
    if (this.pending === null) return ids;
    const rows = new Int32Array(ids.length + 1);
    rows[0] = this.pending;
    rows.set(ids, 1);
    return rows;
  }

  private remember(ids: ArrayLike<number>): void {
    for (let i = Math.max(0, ids.length - MAX_RECENT); i < ids.length; i++) this.recent.push(ids[i]!);
    if (this.recent.length > MAX_RECENT) this.recent.splice(0, this.recent.length - MAX_RECENT);
  }

  private remind({ position, pending, recent }: Memory): void {
    this.position = position;
    this.pending = pending;
    this.recent = recent.slice();
  }
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}
