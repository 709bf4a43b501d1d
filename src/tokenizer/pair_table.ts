const FIELDS = 4; // left + 1 (0: empty), right, rank, merged

/** Merges by the two ids that they merge: an open hash table of numbers. */
export class PairTable {
  private readonly mask: number;
  private readonly table: Int32Array;

  constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, 2 * count)));
    this.mask = size - 1;
    this.table = new Int32Array(FIELDS * size);
  }

  /** Of two merges of the same ids, the one that is set last. */
  set(left: number, right: number, rank: number, merged: number): void {
    const at = this.place(left, right);
    this.table[at] = left + 1;
    this.table[at + 1] = right;
    this.table[at + 2] = rank;
    this.table[at + 3] = merged;
  }

  /** The place of a merge; −1: there is none. */
  find(left: number, right: number): number {
    const place = this.place(left, right);
    return this.table[place] === 0 ? -1 : place;
  }

  rank(place: number): number {
    return this.table[place + 2]!;
  }

  merged(place: number): number {
    return this.table[place + 3]!;
  }

  private place(left: number, right: number): number {
    const { table, mask } = this;
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const at = FIELDS * i;
      if (table[at] === 0 || (table[at] === left + 1 && table[at + 1] === right)) return at;
    }
  }
}
