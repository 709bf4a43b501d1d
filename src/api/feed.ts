import { requireArgument, show } from '../errors.ts';
import { isWordCut } from '../tokenizer/cut.ts';
import { isInt32 } from './call_options.ts';
import type { PromptStream } from './types/index.ts';

/** @throws INVALID_ARGUMENT for one that somebody reads already */
export function isStream(prompt: unknown): prompt is PromptStream {
  const { [Symbol.asyncIterator]: iterate, locked } = Object(prompt) as Partial<
    ReadableStream & PromptStream
  >;
  if (typeof iterate !== 'function') return false;
  requireArgument(locked !== true, 'The stream of a prompt is locked: somebody reads it already');
  return true;
}

/** The most characters or ids that are handed to the engine at once, but for words without end. */
export const PIECE = 4096;

/**
 * What a stream gave, in pieces to consume. Text is cut before a space between two words, where byte-level tokenizers
 * cut too, so that its tokens are those of the whole; a word without end is cut when it exceeds 16 pieces.
 */
export class Feed {
  private ready: (string | Int32Array)[] = []; // what ended where the other kind began
  private text = '';
  private searched = 0; // characters of it after which no word ends
  private ids: number[] = [];

  /** Characters or ids that are left. */
  get size(): number {
    return this.ready.reduce((sum, { length }) => sum + length, this.text.length + this.ids.length);
  }

  push(part: string | readonly number[] | Int32Array): void {
    if (typeof part === 'string') {
      if (this.ids.length > 0) this.ready = this.flush();
      this.text += part;
      return;
    }
    requireArgument(
      Array.isArray(part) || part instanceof Int32Array,
      `A stream of a prompt gives texts, lists of token ids or Int32Arrays, found ${typeof part}`,
    );
    for (const id of part as Iterable<unknown>)
      requireArgument(isInt32(id), `A stream of a prompt gives token ids as integers, found ${show(id)}`);
    if (this.text !== '') this.ready = this.flush();
    for (const id of part as Iterable<number>) this.ids.push(id);
  }

  /** What can be consumed whatever comes, as one piece; null: nothing yet. */
  take(): string | Int32Array | null {
    if (this.ready.length > 0) return this.ready.shift()!;
    if (this.ids.length > 0) return Int32Array.from(this.ids.splice(0, PIECE));
    const cut = findCut(this.text, this.searched);
    this.searched = cut > 0 ? 0 : Math.max(0, this.text.length - 1);
    if (cut === 0) return null;
    const piece = this.text.slice(0, cut);
    this.text = this.text.slice(cut);
    return piece;
  }

  /** All that is left, at the end. */
  flush(): (string | Int32Array)[] {
    const pieces = this.ready;
    if (this.text !== '') pieces.push(this.text);
    while (this.ids.length > 0) pieces.push(Int32Array.from(this.ids.splice(0, PIECE)));
    this.ready = [];
    this.text = '';
    this.searched = 0;
    return pieces;
  }
}

/** Where a piece of `text` ends, after `from`; 0: not yet. */
function findCut(text: string, from: number): number {
  const first = Math.max(1, from);
  for (let i = Math.min(PIECE, text.length - 2); i >= first; i--) if (isWordCut(text, i)) return i;
  for (let i = Math.max(first, PIECE + 1); i < text.length - 1; i++) if (isWordCut(text, i)) return i;
  if (text.length < 16 * PIECE) return 0;
  const end = text.length - PIECE / 2;
  return isTrail(text.charCodeAt(end)) ? end - 1 : end; // no half of a pair
}

function isTrail(code: number): boolean {
  return code >= 0xdc00 && code < 0xe000;
}
