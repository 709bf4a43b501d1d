import type { CacheStats } from '../api/types/index.ts';
import type { StateImage } from '../state/image.ts';
import { PrefixTree } from '../state/prefix_tree.ts';

/** Shorter prefixes cost less to run than to keep. */
const LEAST = 16;

/**
 * States after prompts, shared by all sessions. A prompt from a fresh state goes on from the longest stored prefix; it
 * leaves its own, and one where it parts from others, since what prompts have in common is likely to come again.
 */
export class PrefixCache {
  private readonly tree: PrefixTree<StateImage>;
  private counts = { hits: 0, misses: 0, reusedTokens: 0, evictions: 0 };

  constructor(maxBytes: number) {
    this.tree = new PrefixTree(maxBytes);
  }

  get stats(): CacheStats {
    const { count: entries, bytes, maxBytes } = this.tree;
    return { ...this.counts, entries, bytes, maxBytes };
  }

  /** The longest stored prefix of `ids`, and the lengths at which states are wanted on the way from there. */
  look(ids: Int32Array): { length: number; image: StateImage | null; wanted: number[] } {
    const { length, value: image, shared } = this.tree.find(ids);
    if (image) this.counts.hits += 1;
    else this.counts.misses += 1;
    this.counts.reusedTokens += length;
    const wanted = [shared, ids.length].filter(
      (end, i) => end >= length + LEAST && (i === 1 || end < ids.length),
    );
    return { length, image, wanted };
  }

  store(ids: Int32Array, image: StateImage, bytes: number): void {
    this.counts.evictions += this.tree.insert(ids, image, bytes);
  }
}
