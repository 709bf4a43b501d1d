import type { JsonObject, JsonValue } from '../types.ts';
import { readMerge } from './merge.ts';
import { PairTable } from './pair_table.ts';

/** Words kept with their ids: most of a text are few. */
const MAX_KEPT = 10_000;
const MAX_KEPT_LENGTH = 64;
/** Symbols of words that are encoded at once, and so in the same arrays. */
const SHORT = 256;
/** Steps of merging after which a long word lets others run. */
const STEPS = 8192;
/** Ranks and places in one key, which a double holds exactly: 2^21 merges, words of 2^31 symbols. */
const PLACES = 2 ** 31;

/** Byte-pair encoding as the original does it: of all pairs the one of the lowest rank is merged, the leftmost of those. */
export class BytePairs {
  private readonly vocab: ReadonlyMap<string, number>;
  private readonly pairs: PairTable;
  private readonly unknown: number | undefined;
  private readonly fuse: boolean;
  private readonly bytes: readonly number[] | null; // [256]: ids of the fallback, if the vocabulary has all of them
  private readonly prefix: string; // of symbols that don't begin a word
  private readonly suffix: string; // of the symbol that ends one
  private readonly whole: boolean; // words of the vocabulary are not merged
  private readonly kept = new Map<string, Int32Array>();
  private readonly short: Merging;
  private readonly utf8 = new TextEncoder();

  /** @param model of a tokenizer.json that was checked; `vocab` is its vocabulary */
  constructor(model: JsonObject, vocab: ReadonlyMap<string, number>) {
    this.vocab = vocab;
    const text = (key: string) => (typeof model[key] === 'string' ? model[key] : '');
    this.prefix = text('continuing_subword_prefix');
    this.suffix = text('end_of_word_suffix');
    this.pairs = readPairs(model, vocab, this.prefix);
    this.short = new Merging(SHORT, this.pairs);
    this.unknown = vocab.get(text('unk_token'));
    this.fuse = model.fuse_unk === true;
    this.whole = model.ignore_merges === true;
    const bytes = Array.from({ length: 256 }, (_, byte) => vocab.get(byteToken(byte)) ?? -1);
    this.bytes = model.byte_fallback === true && !bytes.includes(-1) ? bytes : null;
  }

  /** The ids of a word of late. */
  known(word: string): Int32Array | undefined {
    return this.kept.get(word);
  }

  /** The ids of a word; a long one lets others run between its steps. */
  *encode(word: string): Generator<void, Int32Array> {
    const id = this.whole ? this.vocab.get(word) : undefined;
    if (id !== undefined) return Int32Array.of(id);
    const most = this.bytes ? 4 * word.length : word.length;
    const merging = most <= SHORT ? this.short : new Merging(most, this.pairs);
    merging.begin(this.fill(merging.symbols, word));
    while (!merging.run(STEPS)) yield;
    const ids = merging.ids();
    if (word.length <= MAX_KEPT_LENGTH) {
      if (this.kept.size >= MAX_KEPT) this.kept.clear();
      this.kept.set(word, ids);
    }
    return ids;
  }

  /** Writes the ids of a word's characters; gives their number. */
  private fill(ids: Int32Array, word: string): number {
    const { vocab, prefix, suffix, bytes, unknown } = this;
    let length = 0;
    let afterUnknown = false;
    for (let i = 0, next = 0; i < word.length; i = next) {
      const character = String.fromCodePoint(word.codePointAt(i)!);
      next = i + character.length;
      let symbol = i > 0 ? prefix + character : character;
      if (next === word.length) symbol += suffix;
      const id = vocab.get(symbol);
      if (id !== undefined) ids[length++] = id;
      else if (bytes) for (const byte of this.utf8.encode(symbol)) ids[length++] = bytes[byte]!;
      else if (unknown !== undefined && !(this.fuse && afterUnknown)) ids[length++] = unknown;
      afterUnknown = id === undefined;
    }
    return length;
  }
}

/** One word on its way: symbols in a list of which neighbours merge, and a heap of the pairs that can. */
class Merging {
  readonly symbols: Int32Array; // a merged one leaves −1 behind
  private length = 0;
  private readonly before: Int32Array; // [symbols]: the symbol on the left; −1: none
  private readonly after: Int32Array; // [symbols]: on the right
  private readonly heap: Float64Array; // rank and place of a pair's left symbol
  private size = 0;
  private begun = 0; // symbols whose pairs were added

  constructor(
    most: number, // symbols
    private readonly pairs: PairTable,
  ) {
    this.symbols = new Int32Array(most);
    this.before = new Int32Array(most);
    this.after = new Int32Array(most);
    this.heap = new Float64Array(3 * most); // a merge adds two pairs, and there are fewer merges than symbols
  }

  /** Another word, of the first `length` symbols. */
  begin(length: number): void {
    this.length = length;
    this.size = 0;
    this.begun = 0;
    for (let i = 0; i < length; i++) {
      this.before[i] = i - 1;
      this.after[i] = i + 1 < length ? i + 1 : -1;
    }
  }

  /** So many steps of it; true at the end. */
  run(steps: number): boolean {
    const last = this.length - 1;
    for (; this.begun < last; this.begun++) {
      if (steps-- <= 0) return false;
      this.add(this.begun);
    }
    while (this.size > 0) {
      if (steps-- <= 0) return false;
      this.merge(this.pop());
    }
    return true;
  }

  ids(): Int32Array {
    return this.symbols.subarray(0, this.length).filter((id) => id >= 0);
  }

  private merge(key: number): void {
    const { symbols, before, after, pairs } = this;
    const left = key % PLACES;
    const right = after[left]!;
    if (symbols[left]! < 0 || right < 0) return;
    const found = pairs.find(symbols[left]!, symbols[right]!);
    if (found < 0 || pairs.rank(found) !== Math.floor(key / PLACES)) return; // merged otherwise since
    symbols[left] = pairs.merged(found);
    symbols[right] = -1;
    after[left] = after[right]!;
    if (after[left]! >= 0) before[after[left]!] = left;
    if (before[left]! >= 0) this.add(before[left]!);
    this.add(left);
  }

  /** The pair that begins at a symbol, if it can merge. */
  private add(left: number): void {
    const right = this.after[left]!;
    if (right < 0) return;
    const found = this.pairs.find(this.symbols[left]!, this.symbols[right]!);
    if (found < 0) return;
    const { heap } = this;
    const key = this.pairs.rank(found) * PLACES + left;
    let at = this.size++;
    for (let parent = (at - 1) >> 1; at > 0 && heap[parent]! > key; parent = (at - 1) >> 1) {
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = key;
  }

  private pop(): number {
    const { heap } = this;
    const least = heap[0]!;
    const moved = heap[--this.size]!;
    let at = 0;
    for (let child = 1; child < this.size; child = 2 * at + 1) {
      if (child + 1 < this.size && heap[child + 1]! < heap[child]!) child++;
      if (heap[child]! >= moved) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
    return least;
  }
}

function readPairs(model: JsonObject, vocab: ReadonlyMap<string, number>, prefix: string): PairTable {
  const merges = (model.merges ?? []) as JsonValue[];
  const pairs = new PairTable(merges.length);
  merges.forEach((merge, rank) => {
    const [left, right, merged] = readMerge(merge, prefix)!;
    pairs.set(vocab.get(left)!, vocab.get(right)!, rank, vocab.get(merged)!);
  });
  return pairs;
}

function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}
