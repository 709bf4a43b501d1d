import { EdgeError } from '../errors.ts';
import type { SlotArena } from '../state/arena.ts';

/** A session's sequence, as far as its slot is concerned. */
export interface Resident {
  /** Moves its state to host memory, and gives its slot away. */
  park(): Promise<number>;
}

/**
 * Who has a slot. When all are taken, the session that has been idle longest gives its own away, if up to `spill`
 * sessions may wait in host memory.
 */
export class Residency {
  private readonly idle = new Set<Resident>(); // in slots; the one idle longest first
  private parked = 0;
  private returning = 0; // of them, on their way to a slot

  constructor(
    private readonly arena: SlotArena,
    private readonly spill: number,
  ) {}

  /** Sessions in host memory. */
  get spilled(): number {
    return this.parked;
  }

  /** A slot, and the sequence is no longer in host memory once `move` has run. @throws OUT_OF_MEMORY */
  async bringBack(move: (slot: number) => Promise<void>): Promise<void> {
    this.returning += 1;
    try {
      const slot = await this.acquire();
      await move(slot).catch((error) => {
        this.arena.release(slot);
        throw error;
      });
      this.parked -= 1;
    } finally {
      this.returning -= 1;
    }
  }

  /** A slot. @throws OUT_OF_MEMORY if none can be had */
  async acquire(): Promise<number> {
    const free = this.arena.taken < this.arena.sessions;
    const [victim] = this.idle;
    if (free || this.spill === 0 || !victim) return this.arena.acquire();
    if (this.parked - this.returning >= this.spill)
      throw new EdgeError(
        'OUT_OF_MEMORY',
        `All ${this.arena.sessions} sessions' slots are in use, and ${this.spill} sessions wait in host memory ` +
          '(spill): close one, or load the model with a larger maxSessions or spill',
      );
    this.idle.delete(victim);
    this.parked += 1;
    try {
      return await victim.park();
    } catch (error) {
      this.parked -= 1;
      this.idle.add(victim);
      throw error;
    }
  }

  /** It is in a slot, and may be moved. */
  rests(resident: Resident): void {
    this.idle.delete(resident);
    this.idle.add(resident);
  }

  /** It must stay where it is. */
  stirs(resident: Resident): void {
    this.idle.delete(resident);
  }

  /** One in host memory was closed. */
  dropped(): void {
    this.parked -= 1;
  }
}
