import { EdgeError } from '../../errors.ts';
import type { Call } from '../core/call.ts';
import type { Guest, SlotCache } from '../core/slot_cache.ts';
import type { Sequence } from './sequence.ts';

/** The sequence of a generation: its session's, or one of its own, from its first burst to its last. */
export class Seat implements Guest {
  private begun: Sequence | null = null;
  private unpinned = false; // its own sequence may be in host memory
  private evicted: EdgeError | null = null;

  /** `begin` gives the sequence, on the device: it waits for a slot if need be. */
  constructor(
    private readonly slotCache: SlotCache,
    readonly passing: boolean, // has it a slot of its own?
    private readonly begin: (call: Call) => Promise<Sequence>,
  ) {}

  get sequence(): Sequence {
    if (!this.begun) throw new EdgeError('INTERNAL', 'The generation has no sequence');
    return this.begun;
  }

  /** Brings it to the device until `pause`; false if `call` was aborted while it waited. @throws as `begin` */
  async hold(call: Call): Promise<boolean> {
    this.slotCache.resumes(this);
    if (this.evicted) throw this.evicted;
    if (call.aborted) return false;
    try {
      if (!this.begun) this.begun = await this.begin(call);
      else if (this.unpinned) await this.begun.pin(call);
      this.unpinned = false;
      return true;
    } catch (error) {
      if (!call.aborted || error !== call.reason) throw error;
      return false;
    }
  }

  /** Nobody has asked for the next burst yet. */
  pause(): void {
    this.slotCache.pauses(this);
  }

  unpin(): void {
    this.unpinned = true;
    this.begun?.unpin();
  }

  evict(error: EdgeError): void {
    this.evicted = error;
    this.free();
  }

  /** Holds nothing any more. */
  free(): void {
    this.slotCache.resumes(this);
    if (this.passing && this.unpinned)
      void this.begun?.close(); // it may be on its way to host memory
    else if (this.passing) this.begun?.release();
    this.begun = null;
  }
}
