import type { StateImage } from '../../state/image.ts';
import { StateCopy } from '../core/copies.ts';
import type { Device } from '../core/device.ts';
import type { Slot } from '../core/slot.ts';
import type { SequenceHistory } from './sequence_history.ts';

/** A turn's checkpoint is not worth its bytes within so many tokens of another: replaying them takes a step. */
const TURN_SPACING = 64;

/** The checkpoints that a sequence leaves behind: when one is due, and what becomes one. See docs/adr/0013. */
export class Trail {
  private tried = 0; // where one was wanted last
  private readAt = Number.NEGATIVE_INFINITY; // where one could not wait

  constructor(
    private readonly device: Device,
    private readonly slot: Slot,
    private readonly history: SequenceHistory,
  ) {}

  /**
   * Tokens from checkpoint to checkpoint while `count` are consumed: `checkpointEvery`. Where a device has room for few
   * until there is time to read them, a long prompt leaves no more than those.
   */
  spacing(count: number): number {
    const { settings, copies, checkpoints, layout } = this.device;
    const { room } = copies;
    if (!this.history.past || room === 0 || !checkpoints.admits(layout.bytes(this.history.position + count)))
      return Number.POSITIVE_INFINITY;
    const spread = Math.ceil(Math.min(count / room, settings.maxHistory / 2));
    return Math.max(settings.checkpointEvery, spread);
  }

  /** Tokens until one is due. */
  untilCheckpoint(spacing: number): number {
    if (spacing === Number.POSITIVE_INFINITY) return spacing;
    const { position } = this.history;
    const last = this.history.past!.checkpoints.nearest(position)?.position ?? 0;
    const tried = this.tried > position ? 0 : this.tried;
    const safe = Math.max(this.safeFor, this.device.settings.checkpointEvery);
    return Math.max(1, Math.min(Math.max(last, tried) + spacing - position, safe));
  }

  /** No less than `rows`, such that no step of a prefill is cut for a checkpoint. */
  wholeSteps(rows: number): number {
    const { program, settings } = this.device;
    if (rows === Number.POSITIVE_INFINITY || program.chunk > settings.checkpointEvery) return rows;
    return Math.ceil(rows / program.chunk) * program.chunk;
  }

  /** Where a turn begins; `aside` is a copy of the state as it is, if there is one. */
  async keepTurn(aside: StateCopy | null): Promise<void> {
    const { past, position } = this.history;
    if (past && position - (past.checkpoints.nearest(position)?.position ?? 0) >= TURN_SPACING)
      await this.keep(this.device.settings.checkpointEvery, aside);
  }

  /**
   * Keeps the state as it is, if there is a budget for it; the next time is `spacing` tokens from here. `aside` is a copy
   * of the state, if there is one.
   */
  async keep(spacing: number, aside: StateCopy | null = null): Promise<void> {
    const { executor, checkpoints, layout, copies, settings } = this.device;
    const { past, position } = this.history;
    if (!past || !checkpoints.admits(layout.bytes(position))) return;
    this.tried = position;
    past.checkpoints.forget(past.ids.first);
    const atOnce = this.safeFor < spacing && Math.abs(position - this.readAt) >= settings.maxHistory / 2;
    if (atOnce) this.readAt = position; // others may take its room: no reason to read again and again
    if (executor.distant && aside?.shadow != null && !atOnce) {
      aside.hold();
      copies.readLater(aside);
      return this.keepCopy(aside);
    }
    const copy = await copies.take(this.slot.number, position, atOnce);
    if (copy) this.keepCopy(copy);
  }

  /** Tokens until host memory would no longer know enough to bring the state back without its device. */
  private get safeFor(): number {
    const { settings, program } = this.device;
    const { past, position } = this.history;
    const known = past!.checkpoints.nearest(position, inHostMemory)?.position ?? 0;
    return known + settings.maxHistory - program.chunk - position;
  }

  /** Keeps a state that is in host memory. */
  keepImage(image: StateImage): void {
    const copy = new StateCopy(this.history.position, { image });
    copy.hold();
    this.keepCopy(copy);
  }

  /** Keeps `copy`, which is held until then. */
  private keepCopy(copy: StateCopy): void {
    const { past, position } = this.history;
    past?.checkpoints.keep(position, this.device.layout.bytes(position), copy);
    copy.release();
  }
}

export function inHostMemory(copy: StateCopy): boolean {
  return copy.image !== null;
}
