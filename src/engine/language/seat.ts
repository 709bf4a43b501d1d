import { EdgeError } from '../../errors.ts';
import type { Call } from '../core/call.ts';
import type { Guest, Residency } from '../core/slot_cache.ts';
import type { Sequence } from './sequence.ts';

/** The sequence of a generation: its session's, or one of its own, from its first burst to its last. */
export class Seat implements Guest {
  private begun: Sequence | null = null;
  private resting = false; // its own sequence may be in host memory
  private evicted: EdgeError | null = null;

  /** `begin` gives the sequence, on the device: it waits for a slot if need be. */
  constructor(
    private readonly residency: Residency,
    readonly passing: boolean, // has it a slot of its own?
    private readonly begin: (call: Call) => Promise<Sequence>,
  ) {}

  get sequence(): Sequence {
    if (!this.begun) throw new EdgeError('INTERNAL', 'The generation has no sequence');
    return this.begun;
  }

  /** Brings it to the device until `pause`; false if `call` was aborted while it waited. @throws as `begin` */
  async hold(call: Call): Promise<boolean> {
    this.residency.resumes(this);
    if (this.evicted) throw this.evicted;
    if (call.aborted) return false;
    try {
      if (!this.begun) this.begun = await this.begin(call);
      else if (this.resting) await this.begun.wake(call);
      this.resting = false;
      return true;
    } catch (error) {
      if (!call.aborted || error !== call.reason) throw error;
      return false;
    }
  }

  /** Nobody has asked for the next burst yet. */
  pause(): void {
    this.residency.pauses(this);
  }

  rest(): void {
    this.resting = true;
    this.begun?.rest();
  }

  evict(error: EdgeError): void {
    this.evicted = error;
    this.free();
  }

  /** Holds nothing any more. */
  free(): void {
    this.residency.resumes(this);
    if (this.passing && this.resting)
      void this.begun?.close(); // it may be on its way to host memory
    else if (this.passing) this.begun?.release();
    this.begun = null;
  }
}
