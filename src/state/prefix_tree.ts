import type { Keeper } from './checkpoints.ts';

interface Node<T> {
  edge: Int32Array; // ids from the parent to here
  children: Map<number, Node<T>>; // by the first id of their edge
  parent: Node<T> | null;
  depth: number; // ids from the root to here
  stored: { value: T; bytes: number; used: number } | null;
}

/**
 * A radix tree from token prefixes to values, within a budget of bytes: an id takes 4. The value that was used least
 * recently goes first.
 */
export class PrefixTree<T> {
  private readonly root: Node<T> = node(new Int32Array(0), null, 0);
  private readonly holders = new Set<Node<T>>();
  private used = 0;
  private clock = 0;

  constructor(
    readonly maxBytes: number,
    private readonly keeper?: Keeper<T>,
  ) {}

  get bytes(): number {
    return this.used;
  }

  get count(): number {
    return this.holders.size;
  }

  /** The longest prefix of `ids` that has a value, and how many ids `ids` shares with any path. */
  find(ids: Int32Array): { length: number; value: T | null; shared: number } {
    const { path, shared } = this.walk(ids);
    const best = path.findLast((at) => at.stored !== null && at.depth <= shared);
    if (!best?.stored) return { length: 0, value: null, shared };
    best.stored.used = this.tick();
    return { length: best.depth, value: best.stored.value, shared };
  }

  has(ids: Int32Array): boolean {
    const { path, shared } = this.walk(ids);
    const last = path.at(-1)!;
    return shared === ids.length && last.depth === shared && last.stored !== null;
  }

  /** Stores `value` unless it exceeds the budget alone. @returns how many others had to go */
  insert(ids: Int32Array, value: T, bytes: number): number {
    const cost = bytes + 4 * ids.length;
    if (cost > this.maxBytes || ids.length === 0) return 0;
    const at = this.reach(ids);
    this.keeper?.add(value);
    if (at.stored) this.forget(at);
    at.stored = { value, bytes: cost, used: this.tick() };
    this.used += cost;
    this.holders.add(at);
    let evicted = 0;
    for (; this.used > this.maxBytes; evicted++) this.drop(() => true);
    return evicted;
  }

  /** Drops the one of some that was used least recently. */
  drop(some: (value: T) => boolean): boolean {
    let oldest: Node<T> | null = null;
    for (const holder of this.holders)
      if (some(holder.stored!.value) && !(oldest && oldest.stored!.used <= holder.stored!.used))
        oldest = holder;
    if (!oldest) return false;
    this.forget(oldest);
    this.prune(oldest);
    return true;
  }

  private tick(): number {
    this.clock += 1;
    return this.clock;
  }

  /** The nodes that `ids` passes, the last perhaps only in part. */
  private walk(ids: Int32Array): { path: Node<T>[]; shared: number } {
    const path = [this.root];
    let shared = 0;
    while (shared < ids.length) {
      const next = path.at(-1)!.children.get(ids[shared]!);
      if (!next) break;
      const common = commonLength(next.edge, ids.subarray(shared));
      shared += common;
      path.push(next);
      if (common < next.edge.length) break;
    }
    return { path, shared };
  }

  /** The node of `ids`, made if there is none. */
  private reach(ids: Int32Array): Node<T> {
    const { path, shared } = this.walk(ids);
    let at = path.at(-1)!;
    if (at.depth > shared) at = this.split(at, shared);
    if (shared === ids.length) return at;
    const leaf = node(ids.slice(shared), at, ids.length);
    at.children.set(leaf.edge[0]!, leaf);
    return leaf;
  }

  /** A node at `depth`, on the edge that leads to `below`. */
  private split(below: Node<T>, depth: number): Node<T> {
    const parent = below.parent!;
    const cut = depth - parent.depth;
    const middle = node(below.edge.slice(0, cut), parent, depth);
    parent.children.set(middle.edge[0]!, middle);
    below.edge = below.edge.slice(cut);
    below.parent = middle;
    middle.children.set(below.edge[0]!, below);
    return middle;
  }

  private forget(at: Node<T>): void {
    const { value, bytes } = at.stored!;
    this.used -= bytes;
    at.stored = null;
    this.holders.delete(at);
    this.keeper?.remove(value);
  }

  /** Removes nodes that lead nowhere, and joins those that only pass on. */
  private prune(at: Node<T>): void {
    const { parent } = at;
    if (!parent || at.stored) return;
    if (at.children.size === 0) {
      parent.children.delete(at.edge[0]!);
      this.prune(parent);
    } else if (at.children.size === 1) {
      const [child] = at.children.values();
      child!.edge = joined(at.edge, child!.edge);
      child!.parent = parent;
      parent.children.set(child!.edge[0]!, child!);
    }
  }
}

function node<T>(edge: Int32Array, parent: Node<T> | null, depth: number): Node<T> {
  return { edge, children: new Map(), parent, depth, stored: null };
}

function commonLength(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length);
  let i = 0;
  while (i < most && a[i] === b[i]) i++;
  return i;
}

function joined(a: Int32Array, b: Int32Array): Int32Array {
  const both = new Int32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
