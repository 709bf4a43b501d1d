import { EdgeError } from '../../errors.ts';
import type { SlotArena } from '../../state/arena.ts';
import { type Claim, SlotQueue } from './slot_queue.ts';

/** A sequence, as far as its slot is concerned. */
export interface Resident {
  /** Does what it is for come to an end by itself? */
  readonly passing: boolean;
  /** Moves its state to host memory, and gives its slot away. */
  spill(): Promise<number>;
}

/** A generation between two bursts: somebody may ask for the next one, or nobody ever. */
export interface Guest {
  /** Has it a slot of its own? */
  readonly passing: boolean;
  /** From now on its state may be moved to host memory. */
  unpin(): void;
  /** Ends it, and frees its slot. */
  evict(error: EdgeError): void;
}

export interface SlotCacheSettings {
  /** Sessions that may wait in host memory. */
  spill: number;
  /** Calls that may wait for a slot. */
  maxQueue: number;
}

/** Between two looks at who keeps others waiting; what nobody asked for a token from one to the next is idle. */
const LOOK_MS = 15_000;

/**
 * Who has a slot. When all are taken, the session that has been idle longest gives its own away, if up to `spill`
 * sessions may wait in host memory. Otherwise one waits in turn, if a slot comes free by itself: what runs without a
 * session comes to its end, and a session that is busy may rest. Sessions that nobody closes keep theirs.
 */
export class SlotCache {
  private readonly idle = new Set<Resident>(); // in slots; the one idle longest first
  private readonly paused = new Map<Guest, boolean>(); // were they so at the last look?
  private readonly queue = new SlotQueue();
  private spilledCount = 0;
  private returning = 0; // of them, on their way to a slot
  private passing = 0; // slots of what comes to an end by itself
  private looking: ReturnType<typeof setTimeout> | null = null;
  private closed: EdgeError | null = null;

  constructor(
    private readonly arena: SlotArena,
    private readonly settings: SlotCacheSettings,
  ) {}

  /** Sessions in host memory. */
  get spilled(): number {
    return this.spilledCount;
  }

  /** Calls that wait for a slot. */
  get waiting(): number {
    return this.queue.length;
  }

  /** A slot, and the sequence is no longer in host memory once `move` has run. @throws as `acquire` */
  async restore(claim: Claim, move: (slot: number) => Promise<void>): Promise<void> {
    const slot = await this.acquire(claim);
    try {
      await move(slot);
      this.spilledCount -= 1;
    } catch (error) {
      this.release(slot, claim.passing);
      throw error;
    } finally {
      this.returning -= 1;
      this.serve();
    }
  }

  /**
   * A slot, as soon as there is one.
   * @throws OUT_OF_MEMORY if none comes free by itself, BUSY if too many wait, the reason of an aborted call
   */
  acquire(claim: Claim): Promise<number> {
    const reason = this.closed ?? (claim.call.aborted ? claim.call.reason : null);
    if (reason) return Promise.reject(reason);
    const slot = this.queue.length === 0 ? this.take(claim) : null;
    if (slot) return slot;
    const refusal = this.refusal(claim, this.queue.claims);
    if (refusal) return Promise.reject(refusal);
    if (this.queue.length >= this.settings.maxQueue) return Promise.reject(this.busy());
    this.look();
    return this.queue.join(claim);
  }

  /** Gives a slot back. */
  release(slot: number, passing: boolean): void {
    this.arena.release(slot);
    if (passing) this.passing -= 1;
    this.serve();
  }

  /** It is in a slot, and may be moved. */
  unpin(resident: Resident): void {
    this.idle.delete(resident);
    this.idle.add(resident);
    this.serve();
  }

  /** It must stay where it is. */
  pin(resident: Resident): void {
    this.idle.delete(resident);
  }

  /** One in host memory was closed. */
  dropped(): void {
    this.spilledCount -= 1;
    this.serve();
  }

  /** It waits for somebody to ask for its next burst. */
  pauses(guest: Guest): void {
    this.paused.set(guest, false);
  }

  /** It runs, or is over. */
  resumes(guest: Guest): void {
    this.paused.delete(guest);
  }

  /** Sends everybody away who waits, or comes. */
  close(reason: EdgeError): void {
    this.closed ??= reason;
    this.queue.refuse(() => reason);
    if (this.looking) clearTimeout(this.looking);
  }

  /** A slot that is free now, or that an idle session gives away; null if there is neither. */
  private take(claim: Claim): Promise<number> | null {
    const free = this.arena.taken < this.arena.sessions;
    const [victim] = this.idle;
    if (!free && (!victim || !this.hasRoom(claim))) return null;
    if (claim.passing) this.passing += 1;
    if (claim.returns) this.returning += 1;
    if (free) return Promise.resolve(this.arena.acquire());
    return this.moveOut(victim!).catch((error) => {
      if (claim.passing) this.passing -= 1;
      if (claim.returns) this.returning -= 1;
      throw error;
    });
  }

  private async moveOut(victim: Resident): Promise<number> {
    this.idle.delete(victim);
    this.spilledCount += 1;
    if (victim.passing) this.passing -= 1;
    try {
      return await victim.spill();
    } catch (error) {
      this.spilledCount -= 1;
      if (victim.passing) this.passing += 1;
      this.idle.add(victim);
      throw error;
    }
  }

  /** May one more be moved to host memory, when the claim is granted? */
  private hasRoom({ returns }: { returns: boolean }): boolean {
    return this.spilledCount - this.returning - (returns ? 1 : 0) < this.settings.spill;
  }

  private serve(): void {
    for (let [first] = this.queue.claims; first; [first] = this.queue.claims) {
      const slot = this.take(first);
      if (!slot) break;
      this.queue.grant(slot);
    }
    this.queue.refuse((claim, ahead) => this.refusal(claim, ahead));
  }

  /** Why no slot would ever come, given who waits before; null if one does. */
  private refusal(claim: Claim, ahead: readonly Claim[]): EdgeError | null {
    const { sessions } = this.arena;
    const { spill } = this.settings;
    const advice = 'close one, or load the model with a larger maxSessions';
    if (!this.hasRoom(claim)) {
      if (this.passing > ahead.filter(({ passing }) => !passing).length) return null;
      return new EdgeError(
        'OUT_OF_MEMORY',
        spill === 0
          ? `All ${sessions} sessions' slots are held by open sessions, which keep them until they are closed: ${advice} ` +
              'or with spill'
          : `All ${sessions} sessions' slots are in use, and ${spill} sessions wait in host memory (spill): ${advice} ` +
              'or spill',
      );
    }
    const resting = [...this.idle].filter(({ passing }) => !passing).length;
    const awake = this.arena.taken - this.passing - resting;
    const stuck = [claim, ...ahead].filter(({ holds }) => holds).length;
    if (this.passing > 0 || awake > stuck) return null;
    return new EdgeError(
      'OUT_OF_MEMORY',
      `All ${sessions} sessions' slots are held by forks that wait for another one: ${advice}`,
    );
  }

  private busy(): EdgeError {
    return new EdgeError(
      'BUSY',
      `${this.queue.length} calls wait for one of ${this.arena.sessions} slots already (maxQueue): await some of them, ` +
        'end generations that nobody reads on (leave their loop, or call return() of their iterator), or load the model ' +
        'with a larger maxSessions or maxQueue',
    );
  }

  /** Looks after a while, and again as long as somebody waits. */
  private look(): void {
    this.looking ??= setTimeout(() => {
      this.looking = null;
      this.clear();
      if (this.queue.length > 0) this.look();
    }, LOOK_MS);
  }

  /** Nobody keeps others waiting for good by not reading on. */
  private clear(): void {
    let unread = 0; // sessions' generations
    for (const [guest, idle] of [...this.paused]) {
      this.paused.set(guest, true);
      if (!idle || this.queue.length === 0) continue;
      if (!guest.passing) unread += 1;
      else if (this.hasRoom({ returns: false })) guest.unpin();
      else guest.evict(idled());
    }
    const active = this.arena.taken - this.idle.size;
    if (this.passing === 0 && active <= unread) this.queue.refuse(() => this.unread());
  }

  private unread(): EdgeError {
    return new EdgeError(
      'BUSY',
      `All ${this.arena.sessions} slots are held by sessions whose generations nobody reads on: read them to their end, ` +
        'leave their loops, or call return() of their iterators',
    );
  }
}

function idled(): EdgeError {
  return new EdgeError(
    'CLOSED',
    `Nobody asked this generation for its next token for ${LOOK_MS / 1000} seconds and more while others waited for its ` +
      'slot, so it was ended. Read generations to their end, or load the model with a larger maxSessions or with spill',
  );
}
