import type { SlotState } from './snapshot.ts';

export interface StoredState {
  position: number;
  state: SlotState; // never written again, so that forks share it
}

/**
 * States of one sequence at a few positions, within a number of bytes. When they would take more, one goes: the one
 * whose neighbours lie closest, measured by its age, so that the past thins out geometrically.
 */
export class Checkpoints {
  private states: StoredState[] = []; // ascending positions

  constructor(
    readonly capacity: number, // states
    readonly every: number, // tokens between two
  ) {}

  get count(): number {
    return this.states.length;
  }

  get positions(): number[] {
    return this.states.map(({ position }) => position);
  }

  /** Is a state of this position worth keeping? `turn`: where a turn begins it always is. */
  wants(position: number, turn: boolean): boolean {
    if (this.capacity === 0 || position === 0) return false;
    const last = this.states.at(-1)?.position ?? 0;
    return position > last && (turn || position - last >= this.every);
  }

  add(position: number, state: SlotState): void {
    this.states.push({ position, state });
    while (this.states.length > this.capacity) this.states.splice(this.leastUseful(position), 1);
  }

  /** The nearest one that is not beyond `position`. */
  nearest(position: number): StoredState | null {
    return this.states.findLast((stored) => stored.position <= position) ?? null;
  }

  /** Forgets what lies beyond `position`. */
  truncate(position: number): void {
    this.states = this.states.filter((stored) => stored.position <= position);
  }

  clear(): void {
    this.states = [];
  }

  copyFrom(other: Checkpoints): void {
    this.states = other.states.slice();
  }

  private leastUseful(now: number): number {
    let [least, at] = [Number.POSITIVE_INFINITY, 0];
    for (let i = 0; i < this.states.length - 1; i++) {
      const before = this.states[i - 1]?.position ?? 0;
      const gap = this.states[i + 1]!.position - before;
      const usefulness = gap / (now - this.states[i]!.position + this.every);
      if (usefulness < least) [least, at] = [usefulness, i];
    }
    return at;
  }
}
