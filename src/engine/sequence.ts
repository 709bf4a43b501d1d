import type { Executor, Output, OutputResult } from '../backends/types.ts';
import { EdgeError } from '../errors.ts';
import type { Program } from '../ops/program.ts';
import { MAX_RECENT } from '../ops/sample.ts';
import type { SlotArena } from '../state/arena.ts';
import type { Snapshot } from '../state/snapshot.ts';
import type { Call } from './call.ts';
import { type Keeping, type Past, unavailable } from './past.ts';
import type { Scheduler } from './scheduler.ts';

/** What sequences run on: one for every engine. */
export interface Device {
  executor: Executor;
  program: Program;
  scheduler: Scheduler;
  arena: SlotArena;
  keeping: Keeping;
}

/** What a sequence knows beside its slot's state. */
interface Memory {
  position: number;
  pending: number | null;
  recent: readonly number[];
  known: number; // ids in the history
  turns: number;
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
    /** Null for a sequence that nobody can go back in. */
    readonly past: Past | null,
  ) {}

  /** A fresh sequence in a slot of its own. @throws OUT_OF_MEMORY if all slots are taken */
  static open(device: Device, past: Past | null = null): Promise<Sequence> {
    return Sequence.fill(device, past, (slot) => device.executor.resetSlot(slot));
  }

  /** A sequence that goes on from a snapshot: what came before it is not known. */
  static async restore(device: Device, past: Past, snapshot: Snapshot): Promise<Sequence> {
    const { position, pending, recent, state } = snapshot;
    const sequence = await Sequence.fill(device, past, (slot) =>
      position === 0 ? device.executor.resetSlot(slot) : device.executor.writeSlot(slot, position, state),
    );
    past.history.restart(position);
    if (pending !== null) past.history.push([pending]);
    sequence.remind({ position, pending, recent, known: past.history.length, turns: 0 });
    return sequence;
  }

  private static async fill(
    device: Device,
    past: Past | null,
    write: (slot: number) => Promise<void>,
  ): Promise<Sequence> {
    const slot = device.arena.acquire();
    try {
      await device.scheduler.exclusive(() => write(slot));
    } catch (error) {
      device.arena.release(slot);
      throw error;
    }
    return new Sequence(device, slot, past);
  }

  /** Another sequence that goes on from here, in a slot of its own: one copy on the device. */
  async fork(past: Past | null): Promise<Sequence> {
    const { executor } = this.device;
    const fork = await Sequence.fill(this.device, past, (slot) => executor.copySlot(this.slot, slot));
    if (this.past && past) {
      past.history.copyFrom(this.past.history);
      past.checkpoints.copyFrom(this.past.checkpoints);
      past.turns.push(...this.past.turns);
    }
    fork.remind(this.memory());
    return fork;
  }

  /** Becomes what `origin` is, which nobody can go back in either. */
  async copy(origin: Sequence): Promise<void> {
    const { executor, scheduler } = this.device;
    await scheduler.exclusive(() => executor.copySlot(origin.slot, this.slot));
    this.remind(origin.memory());
  }

  async save(): Promise<Snapshot> {
    const { position, pending, recent } = this.memory();
    const { executor, scheduler } = this.device;
    const state = await scheduler.exclusive(() => executor.readSlot(this.slot, position));
    return { position, pending, recent, state };
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
    await this.advance(rows.subarray(0, -1), call);
  }

  /** Consumes the pending token and `ids`, and what `output` says of the last of them. No token is pending then. */
  async predict(ids: Int32Array, output: Omit<Output, 'row'>, call: Call): Promise<OutputResult> {
    let rows = this.unconsumed(ids);
    if (rows.length === 0) throw new EdgeError('INTERNAL', 'A prediction from no token');
    this.requireRoom(rows.length);
    this.pending = null;
    this.remember(ids);
    if (this.past && rows.length > this.past.checkpoints.every) {
      await this.advance(rows.subarray(0, -1), call);
      rows = rows.subarray(-1);
    }
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

  /** Consumes `ids`, and keeps the state every so many tokens. */
  private async advance(ids: Int32Array, call: Call): Promise<void> {
    const every = this.past?.checkpoints.every ?? ids.length;
    for (let done = 0; done < ids.length; done += every) {
      await this.consume(ids.subarray(done, done + every), [], call);
      await this.keep(false);
    }
  }

  /** Sets the state aside for rewinding, if it is time to, or a turn begins here. */
  async keep(turn: boolean): Promise<void> {
    if (!this.past) return;
    const { position, past, device } = this;
    if (turn) past.turns.push(this.fresh ? -1 : position);
    if (past.turns.length > past.history.capacity) past.turns.shift();
    if (!past.checkpoints.wants(position, turn)) return;
    past.checkpoints.add(
      position,
      await device.scheduler.exclusive(() => device.executor.readSlot(this.slot, position)),
    );
  }

  /**
   * Goes back to where `position` tokens were consumed and the next one was pending: from the nearest checkpoint, by
   * consuming again what came after it. Position 0 is a fresh sequence. Returns the tokens consumed again.
   * @throws POSITION_UNAVAILABLE
   */
  async rewind(position: number, call: Call): Promise<number> {
    const { past, device } = this;
    if (position === 0) {
      await this.reset();
      return 0;
    }
    if (!past || position === this.position) return 0;
    const { history, checkpoints, turns } = past;
    const stored = checkpoints.nearest(position);
    const from = stored?.position ?? 0;
    if (from < history.earliest) throw unavailable(position, past, this.position);
    await device.scheduler.exclusive(() =>
      stored
        ? device.executor.writeSlot(this.slot, from, stored.state)
        : device.executor.resetSlot(this.slot),
    );
    this.position = from;
    this.pending = null;
    await this.consume(history.slice(from, position), [], call);
    checkpoints.truncate(position);
    const recent = history.slice(Math.max(history.earliest, position + 1 - MAX_RECENT), position + 1);
    const left = turns.findIndex((begin) => begin >= position);
    this.remind({
      position,
      pending: recent.at(-1)!,
      recent: [...recent],
      known: position + 1,
      turns: left < 0 ? turns.length : left,
    });
    return position - from;
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
    this.past?.history.restart();
    this.past?.checkpoints.clear();
    this.remind({ position: 0, pending: null, recent: [], known: 0, turns: 0 });
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
    const memory = this.memory();
    const checkpoint = (write: () => Promise<void>, release = () => {}): Checkpoint => ({
      restore: async () => {
        await scheduler.exclusive(write);
        this.past?.checkpoints.truncate(memory.position);
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
    this.past?.history.push(ids);
  }

  private memory(): Memory {
    const { position, pending, recent, past } = this;
    const [known, turns] = [past?.history.length ?? 0, past?.turns.length ?? 0];
    return { position, pending, recent: recent.slice(), known, turns };
  }

  private remind({ position, pending, recent, known, turns }: Memory): void {
    this.position = position;
    this.pending = pending;
    this.recent = recent.slice();
    this.past?.history.truncate(known);
    this.past?.turns.splice(turns);
  }
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}
