/** The last ids of a sequence, in a ring of fixed size: what a rewind replays. */
export class TokenHistory {
  private readonly ring: Int32Array; // [capacity]
  private begin = 0; // index in the sequence of the oldest id still held
  length = 0; // ids so far: consumed ones, and the pending one

  constructor(readonly capacity: number) {
    this.ring = new Int32Array(capacity);
  }

  /** The oldest index that can be read. */
  get earliest(): number {
    return this.begin;
  }

  push(ids: ArrayLike<number>): void {
    for (let i = Math.max(0, ids.length - this.capacity); i < ids.length; i++)
      this.ring[(this.length + i) % this.capacity] = ids[i]!;
    this.length += ids.length;
    this.begin = Math.max(this.begin, this.length - this.capacity);
  }

  /** Ids [from, to), which must be held. */
  slice(from: number, to: number): Int32Array {
    return Int32Array.from({ length: to - from }, (_, i) => this.ring[(from + i) % this.capacity]!);
  }

  /** Forgets the ids from index `length` on. */
  truncate(length: number): void {
    this.length = Math.min(this.length, length);
    this.begin = Math.min(this.begin, this.length);
  }

  /** Begins anew at an index before which nothing is known. */
  restart(length = 0): void {
    this.begin = this.length = length;
  }

  copyFrom(other: TokenHistory): void {
    this.ring.set(other.ring);
    this.begin = other.begin;
    this.length = other.length;
  }
}
