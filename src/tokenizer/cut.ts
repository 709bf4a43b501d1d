const WORD = /[\p{L}\p{N}]/u;

/**
 * Is there a space between two words at `i`? Tokenizers that take words apart cut before it, so that the tokens of what is
 * before and of the rest are those of the whole.
 */
export function isWordCut(text: string, i: number): boolean {
  return text[i] === ' ' && WORD.test(text[i - 1] ?? '') && WORD.test(text[i + 1] ?? '');
}

/** The last such place in (from, to); 0: there is none. */
export function wordCut(text: string, from: number, to: number): number {
  for (let i = to - 1; i > from; i--) if (isWordCut(text, i)) return i;
  return 0;
}
