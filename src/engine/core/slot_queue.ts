import type { EdgeError } from '../../errors.ts';
import type { Call } from './call.ts';

/** A request for a slot. */
export interface Claim {
  /** Ends the wait when it is aborted. */
  readonly call: Call;
  /** It comes to an end by itself: a text, a score. A session does not. */
  readonly passing: boolean;
  /** It has another slot already, and keeps that while it waits. */
  readonly holds: boolean;
  /** Its state comes back from host memory. */
  readonly returns: boolean;
}

interface Waiter {
  claim: Claim;
  grant(slot: Promise<number>): void;
  refuse(error: EdgeError): void;
}

/** Those who wait for a slot: first come, first served. */
export class SlotQueue {
  private waiters: Waiter[] = [];

  get length(): number {
    return this.waiters.length;
  }

  get claims(): readonly Claim[] {
    return this.waiters.map(({ claim }) => claim);
  }

  /** Resolves to a slot when it is granted one. @throws what it is refused with, and the reason of its call */
  join(claim: Claim): Promise<number> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        unheard();
        this.waiters = this.waiters.filter((other) => other !== waiter);
      };
      const waiter: Waiter = {
        claim,
        grant(slot) {
          leave();
          resolve(slot);
        },
        refuse(error) {
          leave();
          reject(error);
        },
      };
      const unheard = claim.call.onAbort((reason) => waiter.refuse(reason));
      this.waiters.push(waiter);
    });
  }

  /** Gives a slot to the first. */
  grant(slot: Promise<number>): void {
    this.waiters[0]?.grant(slot);
  }

  /** Sends those away for whom there is a reason, given who waits before them. */
  refuse(reason: (claim: Claim, ahead: readonly Claim[]) => EdgeError | null): void {
    let ahead: Claim[] = [];
    for (const waiter of [...this.waiters]) {
      const error = reason(waiter.claim, ahead);
      if (error) waiter.refuse(error);
      else ahead = [...ahead, waiter.claim];
    }
  }
}
