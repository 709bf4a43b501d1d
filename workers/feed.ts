import { requireArgument } from '../src/errors.ts';

/** Text or ids that come bit by bit. */
export type PromptStream = AsyncIterable<string | readonly number[] | Int32Array>;

/** @throws INVALID_ARGUMENT for one that somebody reads already */
export function isStream(prompt: unknown): prompt is PromptStream {
  const { [Symbol.asyncIterator]: iterate, locked } = Object(prompt) as Partial<
    ReadableStream & PromptStream
  >;
  if (typeof iterate !== 'function') return false;
  requireArgument(locked !== true, 'The stream of a prompt is locked: somebody reads it already');
  return true;
}

/** Characters or ids of what is handed to the engine at once. */
const PIECE = 4096;

/**
 * Gathers a stream into pieces. Text is cut before a space between two words, where byte-level tokenizers cut too, so
 * that its tokens are those of the whole; a word without end is cut when it exceeds 16 pieces.
 */
export async function* gather(stream: PromptStream): AsyncGenerator<string | Int32Array> {
  let text = '';
  let ids: number[] = [];
  for await (const part of stream) {
    if (typeof part === 'string') {
      if (ids.length > 0) yield Int32Array.from(ids);
      ids = [];
      text += part;
      for (let cut = findCut(text); cut > 0; cut = findCut(text)) {
        yield text.slice(0, cut);
        text = text.slice(cut);
      }
      continue;
    }
    requireArgument(
      Array.isArray(part) || part instanceof Int32Array,
      `A stream of a prompt gives texts, lists of token ids or Int32Arrays, found ${typeof part}`,
    );
    if (text !== '') yield text;
    text = '';
    for (const id of part as Iterable<number>) {
      ids.push(id);
      if (ids.length < PIECE) continue;
      yield Int32Array.from(ids);
      ids = [];
    }
  }
  if (text !== '') yield text;
  if (ids.length > 0) yield Int32Array.from(ids);
}

/** Where a piece of `text` ends; 0: not yet. */
function findCut(text: string): number {
  if (text.length < 2 * PIECE) return 0;
  const word = /[\p{L}\p{N}]/u;
  for (let i = text.length - PIECE; i > 0; i--)
    if (text[i] === ' ' && word.test(text[i - 1]!) && word.test(text[i + 1]!)) return i;
  if (text.length < 16 * PIECE) return 0;
  const middle = text.length - PIECE;
  return isTrail(text.charCodeAt(middle)) ? middle - 1 : middle; // no half of a pair
}

function isTrail(code: number): boolean {
  return code >= 0xdc00 && code < 0xe000;
}
