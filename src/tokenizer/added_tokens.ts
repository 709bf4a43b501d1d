import type { JsonObject } from '../types.ts';

/** A token that is found in a text before anything else is done with it, as tokenizer.json describes it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly singleWord: boolean; // only where no letter, digit or the like is beside it
  readonly lstrip: boolean; // takes white space before it along
  readonly rstrip: boolean;
  readonly normalized: boolean; // is found in normalized text
}

/** An added token in a text, white space that it takes along included. */
export interface Match {
  token: AddedToken;
  begin: number;
  end: number;
  next: number; // where the search goes on
}

/** Which special tokens are read as text. */
export interface Reading {
  parseSpecial: boolean;
  /** Where in the text no special token begins. */
  literal?: ReadonlySet<number> | undefined;
}

export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}'; // \w of the original's regular expressions
const WORD_AT_END = new RegExp(`[${WORD}]$`, 'u');
const WORD_AT_START = new RegExp(`^[${WORD}]`, 'u');
const SPACE = /\p{White_Space}/u;

/** The `added_tokens` of a tokenizer.json that was checked. */
export function readAddedTokens(json: JsonObject): AddedToken[] {
  return ((json.added_tokens ?? []) as JsonObject[]).map((entry) => ({
    id: entry.id as number,
    content: entry.content as string,
    special: entry.special === true,
    singleWord: entry.single_word === true,
    lstrip: entry.lstrip === true,
    rstrip: entry.rstrip === true,
    normalized: typeof entry.normalized === 'boolean' ? entry.normalized : entry.special !== true,
  }));
}

/** Characters of the longest text. */
export function longestOf(texts: readonly string[]): number {
  return texts.reduce((most, { length }) => Math.max(most, length), 0);
}

/** A pattern that matches the longest of some texts that is there. */
export function anyOf(texts: readonly string[]): string {
  const longestFirst = [...texts].sort((a, b) => b.length - a.length);
  return longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|');
}

/** Finds added tokens by their contents: the leftmost, and of those the longest. */
export class AddedTokens {
  readonly longest: number; // characters
  private readonly byContent: ReadonlyMap<string, AddedToken>;
  private readonly pattern: RegExp | null;

  constructor(byContent: Iterable<readonly [content: string, token: AddedToken]>) {
    this.byContent = new Map([...byContent].filter(([content]) => content !== ''));
    const contents = [...this.byContent.keys()];
    this.longest = longestOf(contents);
    this.pattern = contents.length === 0 ? null : new RegExp(anyOf(contents), 'g');
  }

  get tokens(): Iterable<readonly [content: string, token: AddedToken]> {
    return this.byContent;
  }

  /** The next one that begins in [from, to); `taken` is where the one before ended. */
  find(text: string, from: number, to: number, taken: number, reading: Reading): Match | null {
    const { pattern } = this;
    if (!pattern) return null;
    // One more character than the longest has: what is there may make it longer, or no word of its own.
    const window = to + this.longest < text.length ? text.slice(0, to + this.longest) : text;
    pattern.lastIndex = from;
    for (let found = pattern.exec(window); found && found.index < to; found = pattern.exec(window)) {
      const [content] = found;
      const [begin, next] = [found.index, found.index + content.length];
      const token = this.byContent.get(content)!;
      if (token.special && reading.literal?.has(begin)) pattern.lastIndex = begin + 1;
      else if (begin >= taken && fits(token, text, begin, next, reading))
        return { token, next, ...withSpaces(token, text, begin, next, taken) };
    }
    return null;
  }
}

function fits(token: AddedToken, text: string, begin: number, end: number, reading: Reading): boolean {
  if (token.special && !reading.parseSpecial) return false;
  if (!token.singleWord) return true;
  const before = text.slice(Math.max(0, begin - 2), begin);
  const after = text.slice(end, end + 2);
  return !WORD_AT_END.test(before) && !WORD_AT_START.test(after);
}

function withSpaces(token: AddedToken, text: string, begin: number, end: number, taken: number) {
  if (token.lstrip) while (begin > taken && SPACE.test(text[begin - 1]!)) begin--;
  if (token.rstrip) while (end < text.length && SPACE.test(text[end]!)) end++;
  return { begin, end };
}
