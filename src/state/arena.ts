import { EdgeError } from '../errors.ts';

/**
 * Which slots of the state arena are taken. An executor has `sessions` slots for sequences and, after them,
 * `shadows` slots in which a sequence's state is set aside.
 */
export class SlotArena {
  private readonly free: number[]; // slots of sequences; the last is handed out first
  private readonly freeShadows: number[];

  constructor(
    readonly sessions: number,
    readonly shadows: number,
  ) {
    this.free = Array.from({ length: sessions }, (_, i) => sessions - 1 - i);
    this.freeShadows = Array.from({ length: shadows }, (_, i) => sessions + i);
  }

  /** Slots that an executor must have. */
  get size(): number {
    return this.sessions + this.shadows;
  }

  get taken(): number {
    return this.sessions - this.free.length;
  }

  /** A slot for a sequence; its state is whatever was left in it. @throws OUT_OF_MEMORY if all are taken */
  acquire(): number {
    const slot = this.free.pop();
    if (slot === undefined)
      throw new EdgeError(
        'OUT_OF_MEMORY',
        `All ${this.sessions} sessions are in use (generations without a session, score and logits take one each): ` +
          'close one, wait for one to end, or load the model with a larger maxSessions',
      );
    return slot;
  }

  /** A slot to set a state aside in, or null if there is none left. */
  acquireShadow(): number | null {
    return this.freeShadows.pop() ?? null;
  }

  release(slot: number): void {
    const list = slot < this.sessions ? this.free : this.freeShadows;
    if (!Number.isInteger(slot) || slot < 0 || slot >= this.size || list.includes(slot))
      throw new EdgeError('INTERNAL', `Slot ${slot} is not taken`);
    list.push(slot);
  }
}
