import type { Tokenizer as Library } from '@huggingface/tokenizers';
import type { JsonObject } from '../types.ts';
import { type AddedToken, AddedTokens, type Reading, readAddedTokens } from './added_tokens.ts';
import { BytePairs } from './bpe.ts';
import { wordCut } from './cut.ts';
import { createNormalizer, type Normalizer } from './normalizer.ts';
import { createPreTokenizer, type PreTokenizer, type Start } from './pre_tokenizer.ts';

/** Characters of a text that are encoded between two yields, at most if it can be cut there. */
const PIECE = 4096;
/** Tokens of it, as arrays of ids. */
const BLOCK = 65_536;

/** How a text is read. */
export interface TextReading extends Reading {
  continues: boolean; // text before it: nothing is put before it
}

/** A part of a text: an added token, or a section between two, or a piece of a section. */
type Part = { id: number } | { text: string; from: number; start: Start };

/**
 * Text to ids, as the original tokenizers do it: added tokens are found first, what is between them is normalized, the
 * added tokens of normalized text are found in that, the rest is parted into words, and those are encoded. Long texts are
 * encoded in pieces, where that gives the ids of the whole.
 */
export class Encoder {
  private readonly raw: AddedTokens;
  private readonly normalized: AddedTokens;
  private readonly normalizer: Normalizer;
  private readonly preTokenizer: PreTokenizer;
  private readonly pairs: BytePairs | null;
  private readonly vocab: ReadonlyMap<string, number>;
  /** Are ids the same if a text is cut before a space between two words? */
  readonly cuttable: boolean;
  readonly piece: number = PIECE; // characters

  /** @param library without merges */
  constructor(
    private readonly library: Library,
    json: JsonObject,
  ) {
    const model = json.model as JsonObject;
    const added = readAddedTokens(json);
    this.vocab = library.model!.tokens_to_ids;
    this.normalizer = createNormalizer(json.normalizer, library.normalizer);
    this.preTokenizer = createPreTokenizer(json.pre_tokenizer, library.pre_tokenizer);
    this.pairs = model.type === 'BPE' ? new BytePairs(model, this.vocab) : null;
    const entry = (token: AddedToken) => {
      const content = token.normalized ? this.normalizer.normalize(token.content, 'text') : token.content;
      return [content, token] as const;
    };
    this.raw = new AddedTokens(added.filter((token) => !token.normalized).map(entry));
    this.normalized = new AddedTokens(added.filter((token) => token.normalized).map(entry));
    const { cuts, local } = this.preTokenizer;
    const words =
      cuts || (local && this.pairs !== null && partsWords(Object.keys(model.vocab as JsonObject)));
    this.cuttable = words && this.normalizer.local && [...this.normalized.tokens].every(isWithinWords);
  }

  /** The ids of a text; yields between pieces of the work. */
  *encode(text: string, reading: TextReading): Generator<void, Int32Array> {
    const ids = new Ids();
    for (const part of this.parts(text, reading)) {
      if (part === null) yield;
      else if ('id' in part) ids.push(part.id);
      else
        yield* this.encodeSection(part.text, part.start, within(reading, part.from, part.text.length), ids);
    }
    return ids.all();
  }

  /** A text's parts; null where others may run. */
  private *parts(text: string, reading: TextReading): Generator<Part | null> {
    const { raw } = this;
    let taken = 0; // of the text
    let start: Start = reading.continues ? 'middle' : 'text';
    const section = (end: number): Part => {
      const part = { text: text.slice(taken, end), from: taken, start };
      taken = end;
      return part;
    };
    for (let at = 0, rested = 0; at < text.length; ) {
      const to = Math.min(text.length, at + this.piece);
      const match = raw.find(text, at, to, taken, reading);
      at = match?.next ?? to;
      if (match) {
        if (match.begin > taken) yield section(match.begin);
        yield { id: match.token.id };
        taken = match.end;
        start = 'section';
      } else if (to < text.length) {
        const cut = this.cuttable ? wordCut(text, Math.max(taken, to - this.piece), to) : 0;
        if (cut > 0) {
          yield section(cut);
          start = 'middle';
        }
      }
      if (at - rested < this.piece) continue;
      rested = at;
      yield null;
    }
    if (taken < text.length) yield section(text.length);
  }

  private *encodeSection(text: string, start: Start, reading: Reading, ids: Ids): Generator<void> {
    const normal = this.normalizer.normalize(text, start);
    let taken = 0;
    let first = start;
    for (let at = 0; at < normal.length; ) {
      const match = this.normalized.find(normal, at, normal.length, taken, reading);
      const end = match?.begin ?? normal.length;
      if (end > taken) yield* this.encodeWords(normal.slice(taken, end), first, ids);
      if (!match) return;
      ids.push(match.token.id);
      [at, taken] = [match.next, match.end];
      first = 'section';
    }
    if (taken < normal.length) yield* this.encodeWords(normal.slice(taken), first, ids);
  }

  private *encodeWords(text: string, start: Start, ids: Ids): Generator<void> {
    let since = 0; // characters
    for (const word of this.preTokenizer.words(text, start)) {
      since += word.length;
      if (since > this.piece) {
        yield;
        since = word.length;
      }
      const found = this.pairs?.known(word);
      if (found) ids.add(found);
      else if (this.pairs) ids.add(yield* this.pairs.encode(word));
      else for (const token of this.library.model!([word])) ids.push(this.idOf(token));
    }
  }

  private idOf(token: string): number | undefined {
    return this.vocab.get(token) ?? this.library.model!.unk_token_id;
  }
}

/** How a section is read when it was normalized: where its characters were is not known any more. */
function within({ parseSpecial, literal }: Reading, from: number, length: number): Reading {
  if (!parseSpecial || !literal) return { parseSpecial };
  for (const place of literal) if (place >= from && place < from + length) return { parseSpecial: false };
  return { parseSpecial };
}

/** Ids as they come. */
class Ids {
  private readonly full: Int32Array[] = [];
  private block = new Int32Array(64);
  private length = 0; // of the block

  /** One, unless the vocabulary has none: neither the token nor one for what is unknown. */
  push(id: number | undefined): void {
    if (id === undefined) return;
    if (this.length === this.block.length) this.grow();
    this.block[this.length++] = id;
  }

  add(ids: Int32Array): void {
    for (const id of ids) this.push(id);
  }

  all(): Int32Array {
    const blocks = [...this.full, this.block.subarray(0, this.length)];
    const ids = new Int32Array(blocks.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of blocks) {
      ids.set(block, at);
      at += block.length;
    }
    return ids;
  }

  private grow(): void {
    this.full.push(this.block);
    this.block = new Int32Array(Math.min(BLOCK, 2 * this.length));
    this.length = 0;
  }
}

/** Does no token hold a letter or digit with a space after it, so that merging never crosses that border? */
function partsWords(vocab: readonly string[]): boolean {
  return vocab.includes('▁') && !vocab.some((token) => /[\p{L}\p{N}\p{M}][ ▁\u0120]/u.test(token));
}

/** Is an added token of normalized text found the same where the text is cut? */
function isWithinWords([content, { singleWord, rstrip }]: readonly [string, AddedToken]): boolean {
  return !singleWord && !rstrip && !/[^\s▁][\s▁]/u.test(content);
}
