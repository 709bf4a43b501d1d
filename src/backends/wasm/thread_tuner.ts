/** Measured times of steps of one size, in ms. */
interface Experience {
  steps: number;
  together: number; // on all threads, a running mean
  alone: number; // on one thread, when last tried; 0: never
  rest: number; // steps still to run alone before the pool is tried again
  trust: number; // steps of the pool still to run before it is doubted
}

const WARM_UP = 4; // steps of a size before anything is compared: code is compiled and memory touched by then
const REST = 24;
const TRUST = 24;

/**
 * How many threads a step gets. On a busy machine a pool can be slower than one thread, because all wait for the one
 * that is not scheduled; so its time is compared with that of one thread, which is tried once, and again only when
 * the pool seems no faster. Every choice gives the same bits.
 */
export class ThreadTuner {
  private readonly sizes = new Map<number, Experience>(); // by rows

  /** Threads for the next step of so many rows, of those available. */
  threads(rows: number, available: number): number {
    if (available === 1) return 1;
    const { steps, together, alone, rest, trust } = this.experience(rows);
    if (steps < WARM_UP) return available;
    return alone === 0 || rest > 0 || (together >= alone && trust === 0) ? 1 : available;
  }

  /** Records the time of a step on the threads that `threads` said. */
  record(rows: number, threads: number, ms: number): void {
    const e = this.experience(rows);
    e.steps++;
    if (threads > 1) {
      e.together = e.together === 0 ? ms : (3 * e.together + ms) / 4;
      e.trust = Math.max(0, e.trust - 1);
      return;
    }
    e.alone = ms;
    if (e.rest === 0) {
      if (e.together >= ms) e.rest = REST;
      else e.trust = TRUST;
    } else if (--e.rest === 0) {
      e.together = 0; // what it was then says nothing of now
    }
  }

  private experience(rows: number): Experience {
    const known = this.sizes.get(rows);
    if (known) return known;
    const first = { steps: 0, together: 0, alone: 0, rest: 0, trust: 0 };
    this.sizes.set(rows, first);
    return first;
  }
}
