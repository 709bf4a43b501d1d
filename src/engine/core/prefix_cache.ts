import type { CacheStats } from '../../api/types/index.ts';
import { PrefixTree } from '../../state/prefix_tree.ts';
import type { StateCopy } from './copies.ts';

/** Shorter prefixes cost less to run than to keep. */
const LEAST = 16;

/**
 * States after prompts, shared by all sessions. A prompt from a fresh state goes on from the longest stored prefix; it
 * leaves its own, and one where it parts from others, since what prompts have in common is likely to come again.
 */
export class PrefixCache {
  private readonly tree: PrefixTree<StateCopy>;
  private counts = { hits: 0, misses: 0, reusedTokens: 0, evictions: 0 };

  constructor(maxBytes: number) {
    this.tree = new PrefixTree(maxBytes, {
      add: (copy) => copy.hold(),
      remove: (copy) => copy.release(),
    });
  }

  get stats(): CacheStats {
    const { count: entries, bytes, maxBytes } = this.tree;
    return { ...this.counts, entries, bytes, maxBytes };
  }

  /** The longest stored prefix of `ids`, and the lengths at which states are wanted on the way from there. */
  look(ids: Int32Array): { length: number; copy: StateCopy | null; wanted: number[] } {
    const { length, value: copy, shared } = this.tree.find(ids);
    if (copy) this.counts.hits += 1;
    else this.counts.misses += 1;
    this.counts.reusedTokens += length;
    const wanted = [shared, ids.length].filter(
      (end, i) => end >= length + LEAST && (i === 1 || end < ids.length),
    );
    return { length, copy, wanted };
  }

  store(ids: Int32Array, copy: StateCopy, bytes: number): void {
    this.counts.evictions += this.tree.insert(ids, copy, bytes);
  }

  /** Gives up one of some; false if there is none. */
  drop(some: (copy: StateCopy) => boolean): boolean {
    const dropped = this.tree.drop(some);
    if (dropped) this.counts.evictions += 1;
    return dropped;
  }
}
