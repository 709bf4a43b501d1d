/** The last `capacity` token ids of a conversation, by their index in it. */
export class History {
  private ids = new Int32Array(0); // a ring once it has its full size; index i lies at i mod capacity
  private begin = 0;
  private end = 0;

  constructor(private readonly capacity: number) {}

  /** Index of the oldest id that is left. */
  get first(): number {
    return this.begin;
  }

  /** Ids that there were in all, those forgotten included. */
  get length(): number {
    return this.end;
  }

  push(ids: ArrayLike<number>): void {
    const skipped = Math.max(0, ids.length - this.capacity);
    this.reserve(Math.min(this.capacity, this.end + ids.length));
    for (let i = skipped; i < ids.length; i++) this.ids[(this.end + i) % this.capacity] = ids[i]!;
    this.end += ids.length;
    this.begin = Math.max(this.begin, this.end - this.capacity);
  }

  /** Ids from index `from` to before `to`, of which none may be forgotten. */
  slice(from: number, to: number): Int32Array {
    if (from < this.begin || to > this.end || from > to)
      throw new RangeError(`Ids ${from} to ${to} of ${this.begin} to ${this.end}`);
    return Int32Array.from({ length: to - from }, (_, i) => this.ids[(from + i) % this.capacity]!);
  }

  /** Forgets the ids from index `length` on. */
  truncate(length: number): void {
    this.end = Math.min(this.end, length);
    this.begin = Math.min(this.begin, this.end);
  }

  /** Nothing but `ids`, the last of a conversation of `length`. */
  restart(length: number, ids: ArrayLike<number>): void {
    this.begin = this.end = length - ids.length;
    this.push(ids);
  }

  copy(): History {
    const copy = new History(this.capacity);
    copy.ids = this.ids.slice();
    copy.begin = this.begin;
    copy.end = this.end;
    return copy;
  }

  /** Doubles what there is; ids move only while none has wrapped around. */
  private reserve(size: number): void {
    if (size <= this.ids.length) return;
    const larger = new Int32Array(Math.min(this.capacity, Math.max(64, 2 * this.ids.length, size)));
    larger.set(this.ids);
    this.ids = larger;
  }
}
