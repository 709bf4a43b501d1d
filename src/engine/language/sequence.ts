import type { Output, OutputResult } from '../../backends/types.ts';
import { EdgeError } from '../../errors.ts';
import { recentAfter } from '../../ops/sample.ts';
import { Checkpoints } from '../../state/checkpoints.ts';
import type { Conversation } from '../../state/snapshot.ts';
import { Call } from '../core/call.ts';
import type { Device } from '../core/device.ts';
import type { PrefixCache } from '../core/prefix_cache.ts';
import { Slot } from '../core/slot.ts';
import { newPast, SequenceHistory } from './sequence_history.ts';
import { inHostMemory, Trail } from './trail.ts';
import { takeUndoPoint, type UndoPoint } from './undo_point.ts';

/**
 * A slot's state and the token that it has not consumed yet (docs/adr/0003): the last token of a sequence, given or
 * sampled, is always pending. `position` counts consumed tokens.
 */
export class Sequence {
  private readonly trail: Trail;
  private reusedTokens = 0;

  private constructor(
    private readonly device: Device,
    private readonly slot: Slot,
    readonly history: SequenceHistory,
    private readonly cache: PrefixCache | null,
  ) {
    this.trail = new Trail(device, slot, history);
  }

  /**
   * A fresh sequence in a slot of its own. Of a session's the past is remembered, to go back to; a test's takes
   * nothing from the prefix cache. Waits in turn where all slots are taken, until `call` is aborted.
   * @throws OUT_OF_MEMORY if none comes free by itself, BUSY if too many wait, ABORTED
   */
  static async open(
    device: Device,
    of: 'session' | 'text' | 'test',
    call: Call = new Call(),
  ): Promise<Sequence> {
    const history = new SequenceHistory(of === 'session' ? newPast(device) : null);
    const slot = await Slot.acquire(device, call, of !== 'session');
    return new Sequence(device, slot, history, of === 'test' ? null : device.cache);
  }

  /**
   * What `other`, of an engine whose device was lost, is by what host memory knows of it: its state as it was spilled,
   * or the nearest checkpoint and the tokens since.
   * @throws POSITION_UNAVAILABLE if those are no longer known
   */
  static async revive(device: Device, other: Sequence, call: Call): Promise<Sequence> {
    const slot = await Slot.acquire(device, call, false);
    const { past } = other.history;
    const history = other.history.copy(past && new Checkpoints(device.checkpoints), inHostMemory);
    const sequence = new Sequence(device, slot, history, device.cache);
    const { spilled } = other.slot;
    try {
      if (spilled) await sequence.slot.write(history.position, spilled);
      else if (history.known > 0) await sequence.replay(history.known, call);
      return sequence;
    } catch (error) {
      sequence.release();
      throw error;
    }
  }

  get position(): number {
    return this.history.position;
  }

  /** Tokens that the prefix cache had, of the prompt that it was asked for last. */
  get reused(): number {
    return this.reusedTokens;
  }

  get fresh(): boolean {
    return this.history.fresh;
  }

  /** Consumes the pending token and `ids`, but for the last one, which is pending then. */
  async append(ids: Int32Array, call: Call): Promise<void> {
    if (ids.length === 0) return;
    const { history, fresh } = this;
    const rows = this.unconsumed(ids);
    history.pending = rows.at(-1)!;
    history.remember(ids);
    if (fresh) await this.consumeCached(rows.subarray(0, -1), call);
    else await this.consume(rows.subarray(0, -1), [], call);
  }

  /** Consumes the pending token and `ids`, and what `output` says of the last of them. No token is pending then. */
  async predict(ids: Int32Array, output: Omit<Output, 'row'>, call: Call): Promise<OutputResult> {
    return (await this.predictAhead(ids, output, call, 1))[0] ?? {};
  }

  /** The same, and up to `most` tokens sampled one from the other, all but the last consumed: as the device can. */
  async predictAhead(
    ids: Int32Array,
    output: Omit<Output, 'row'>,
    call: Call,
    most: number,
  ): Promise<OutputResult[]> {
    const { fresh } = this;
    let rows = this.unconsumed(ids);
    if (rows.length === 0) throw new EdgeError('INTERNAL', 'A prediction from no token');
    this.requireRoom(rows.length);
    this.history.pending = null;
    this.history.remember(ids);
    if (fresh && this.cache) {
      await this.consumeCached(rows.subarray(0, -1), call);
      rows = rows.subarray(-1);
    }
    const found: OutputResult[] = [];
    const take = ({ logits, ...rest }: OutputResult) =>
      found.push({ ...rest, ...(logits && { logits: logits.slice() }) });
    await this.consume(rows, [{ ...output, row: rows.length - 1 }], call, take, most);
    return found;
  }

  /** Consumes `ids`, and hands over each of `outputs` as it comes. Leaves checkpoints on the way. */
  async consume(
    ids: Int32Array,
    outputs: readonly Output[],
    call: Call,
    take?: (result: OutputResult, output: Output) => void,
    most = 1, // tokens sampled one from the other, where `ids` is one
  ): Promise<void> {
    call.check();
    this.requireRoom(ids.length);
    const { history } = this;
    const spacing = this.trail.spacing(ids.length);
    for (let done = 0; done < ids.length; ) {
      const { position } = history;
      const due = this.trail.untilCheckpoint(spacing);
      const rows = Math.min(ids.length - done, this.trail.wholeSteps(due));
      const wanted = outputs
        .filter(({ row }) => row >= done && row < done + rows)
        .map((output) => ({ ...output, row: output.row - done }));
      const part = ids.subarray(done, done + rows);
      let taken = 0;
      await this.device.scheduler.run({
        slot: this.slot.number,
        position,
        ids: part,
        outputs: wanted,
        call,
        ahead: Math.min(most, due, this.device.program.maxContext - position),
        take(result, output) {
          taken++;
          take?.(result, output);
        },
      });
      history.position += rows + Math.max(0, taken - wanted.length);
      done += rows;
      if (history.position - position >= due) await this.trail.keep(spacing);
    }
  }

  /** Makes `id` the pending token: what `predict` led to. */
  commit(id: number): void {
    this.history.pending = id;
    this.history.remember([id]);
  }

  /** What comes now is a turn, to which one may want to go back; `before` is a way back to the state as it is. */
  async beginTurn(before: UndoPoint | null): Promise<void> {
    this.history.beginTurn();
    await this.trail.keepTurn(before?.copy ?? null);
  }

  /** Ids that penalties look at, `ids` being the next to come: oldest first. */
  recentWith(ids: Int32Array): Int32Array {
    return recentAfter(this.history.recent, ids);
  }

  /** How many rows `predict(ids)` consumes. */
  rowsWith(ids: Int32Array): number {
    return ids.length + (this.history.pending === null ? 0 : 1);
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
    await this.slot.reset();
    this.history.restart(0, null, []);
  }

  /** Another sequence with the same state, by one copy of its slot, and the same past. */
  async fork(call: Call): Promise<Sequence> {
    const { device, history } = this;
    const slot = await Slot.acquire(device, call, this.slot.passing, this.slot);
    const copy = history.copy(history.past && new Checkpoints(device.checkpoints));
    return new Sequence(device, slot, copy, this.cache);
  }

  /** Becomes what `origin` is, which nobody can go back in either. */
  async copy(origin: Sequence): Promise<void> {
    await this.slot.copy(origin.slot);
    this.history.return(origin.history.mark());
  }

  /** The conversation as it is. */
  async read(): Promise<Conversation> {
    const { position, pending, recent } = this.history;
    return { position, pending, recent: recent.slice(), image: await this.slot.read(this.position) };
  }

  /** Takes up a conversation in place of its own. */
  async take({ position, pending, recent, image }: Conversation): Promise<void> {
    await this.slot.write(position, image);
    this.history.restart(position, pending, recent);
    this.trail.keepImage(image);
  }

  /** Back to where `length` ids were known: from the nearest checkpoint, by replaying what followed. */
  async rewind(length: number, call: Call): Promise<void> {
    if (length === this.history.known) return;
    if (length === 0) return this.reset();
    await this.replay(length, call);
  }

  private async replay(length: number, call: Call): Promise<void> {
    const { history } = this;
    const target = length - 1;
    const { position, copy } = history.baseOf(target);
    if (copy) await this.slot.restore(copy);
    else await this.slot.reset();
    history.position = position;
    history.pending = null;
    await this.consume(history.past!.ids.slice(position, target), [], call);
    history.rewound(length);
  }

  /** Frees what it holds, wherever that is. */
  release(): void {
    this.history.past?.checkpoints.clear();
    this.slot.release();
  }

  /** The same, for one that may be on its way to host memory. */
  async close(): Promise<void> {
    await this.slot.settled();
    this.release();
  }

  /** It may be moved to host memory from now on. */
  unpin(): void {
    this.slot.unpin(this.position);
  }

  /** Brings it to the device, where it stays until it is unpinned. @throws OUT_OF_MEMORY, BUSY, ABORTED */
  pin(call: Call): Promise<void> {
    return this.slot.pin(call);
  }

  /** A way back to the state as it is. */
  undoPoint(): Promise<UndoPoint> {
    return takeUndoPoint(this.device, this.slot.number, this.history);
  }

  /** The same as `consume(ids)` on a fresh state, from the longest prefix that is known. */
  private async consumeCached(ids: Int32Array, call: Call): Promise<void> {
    const { cache, device } = this;
    if (!cache || ids.length === 0) return this.consume(ids, [], call);
    call.check();
    const { length, copy, wanted } = cache.look(ids);
    if (copy) await this.slot.restore(copy);
    this.history.position = length;
    this.reusedTokens = length;
    for (const end of wanted) {
      await this.consume(ids.subarray(this.position, end), [], call);
      const kept = await device.copies.take(this.slot.number, end);
      if (kept) cache.store(ids.subarray(0, end), kept, device.layout.bytes(end));
      kept?.release();
    }
    await this.consume(ids.subarray(this.position), [], call);
  }

  /** The pending token, and `ids` after it. */
  private unconsumed(ids: Int32Array): Int32Array {
    const { pending } = this.history;
    if (pending === null) return ids;
    const rows = new Int32Array(ids.length + 1);
    rows[0] = pending;
    rows.set(ids, 1);
    return rows;
  }
}
