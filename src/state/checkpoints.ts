interface Kept<T> {
  position: number;
  bytes: number;
  value: T;
  owner: Checkpoints<T>;
}

/** Called with each value as it comes into a place, and as it goes. */
export interface Keeper<T> {
  add(value: T): void;
  remove(value: T): void;
}

/** Bytes that the checkpoints of all sessions share. */
export class CheckpointBudget<T> {
  private readonly kept = new Set<Kept<T>>();
  private used = 0;

  constructor(
    readonly maxBytes: number,
    private readonly keeper?: Keeper<T>,
  ) {}

  get bytes(): number {
    return this.used;
  }

  get count(): number {
    return this.kept.size;
  }

  /** Is there a use in making one of so many bytes? */
  admits(bytes: number): boolean {
    return bytes <= this.maxBytes;
  }

  /** @internal */
  add(entry: Kept<T>): void {
    this.kept.add(entry);
    this.used += entry.bytes;
    this.keeper?.add(entry.value);
    while (this.used > this.maxBytes) this.thin(() => true);
  }

  /** @internal */
  remove(entry: Kept<T>): void {
    if (!this.kept.delete(entry)) return;
    this.used -= entry.bytes;
    this.keeper?.remove(entry.value);
  }

  /** Drops the one of some whose loss costs least: the gap that it would leave, against its age. */
  thin(some: (value: T) => boolean): boolean {
    let least: Kept<T> | null = null;
    let cost = Number.POSITIVE_INFINITY;
    for (const entry of this.kept) {
      if (!some(entry.value)) continue;
      const found = entry.owner.costOf(entry);
      if (found < cost) [least, cost] = [entry, found];
    }
    least?.owner.drop(least.position);
    return least !== null;
  }
}

/**
 * States that one conversation had, at ascending positions, in a budget shared with others. What goes first when it
 * is exceeded is what leaves the smallest gap for its age: they thin out towards the beginning.
 */
export class Checkpoints<T> {
  private entries: Kept<T>[] = [];

  constructor(private readonly budget: CheckpointBudget<T>) {}

  get positions(): number[] {
    return this.entries.map(({ position }) => position);
  }

  /** The newest of some, at or before `position`. */
  nearest(position: number, some: (value: T) => boolean = () => true): { position: number; value: T } | null {
    return this.entries.findLast((entry) => entry.position <= position && some(entry.value)) ?? null;
  }

  keep(position: number, bytes: number, value: T): void {
    if (!this.budget.admits(bytes)) return;
    this.drop(position);
    const entry = { position, bytes, value, owner: this };
    const after = this.entries.findIndex((other) => other.position > position);
    this.entries.splice(after < 0 ? this.entries.length : after, 0, entry);
    this.budget.add(entry);
  }

  drop(position: number): void {
    this.filter((entry) => entry.position !== position);
  }

  /** Drops those beyond `position`. */
  truncate(position: number): void {
    this.filter((entry) => entry.position <= position);
  }

  /** Drops those before `position`. */
  forget(position: number): void {
    if (this.entries.length > 0 && this.entries[0]!.position < position)
      this.filter((entry) => entry.position >= position);
  }

  clear(): void {
    this.filter(() => false);
  }

  /** Another conversation's: the same states, counted again. */
  copyTo(other: Checkpoints<T>, some: (value: T) => boolean = () => true): void {
    for (const { position, bytes, value } of [...this.entries])
      if (some(value)) other.keep(position, bytes, value);
  }

  /** @internal Tokens that could only be reached by a longer replay, for each token of its age. */
  costOf(entry: Kept<T>): number {
    const i = this.entries.indexOf(entry);
    const newest = this.entries.at(-1)!.position;
    const before = this.entries[i - 1]?.position ?? 0;
    const after = this.entries[i + 1]?.position ?? newest + 1;
    return (after - before) / (newest - entry.position + 1);
  }

  private filter(stays: (entry: Kept<T>) => boolean): void {
    for (const entry of this.entries) if (!stays(entry)) this.budget.remove(entry);
    this.entries = this.entries.filter(stays);
  }
}
