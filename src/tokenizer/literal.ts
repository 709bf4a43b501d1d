import type { Chat } from '../api/types/index.ts';
import { EdgeError } from '../errors.ts';
import { anyOf, longestOf } from './added_tokens.ts';

/** A conversation as its template writes it, and where in it no special token begins: in what was said. */
export interface Rendered {
  text: string;
  literal: ReadonlySet<number>;
}

type Render = (chat: Chat) => string;
/** Is a special token that is written out in a text no special one there? */
type Rule = (special: string, byAssistant: boolean) => boolean;

/** Variables of a template that are special tokens by their names. */
const TOKEN_VARIABLE = /_token$/;
/** Characters that stand for others while a template runs: none that a text should have. */
const STAND_INS = [
  ...Array.from({ length: 0x20 }, (_, i) => 0xfdd0 + i),
  ...Array.from({ length: 0x1900 }, (_, i) => 0xe000 + i),
];
const FAR_STAND_INS = Array.from({ length: 0x1000 }, (_, i) => 0xf0000 + i); // for those beyond U+FFFF
/** Special tokens that are tried one by one where a template looks for one of them. */
const MAX_TRIED = 32;

/**
 * Renders conversations so that special tokens written out in them can be distinguished from those that the template writes: where
 * one begins in a string, its first character is another one while the template runs. It has as many characters then, and
 * what a template does otherwise, because it looks for one of them in a message, shows in a second rendering.
 */
export class LiteralRenderer {
  private readonly pattern: RegExp;
  private readonly beginnings: ReadonlySet<string>; // of special tokens, the whole ones aside
  private readonly longest: number;

  /** @param ends special tokens that no message holds rightly, whichever role wrote it: bos, eos */
  constructor(
    private readonly specials: readonly string[],
    private readonly ends: ReadonlySet<string>,
  ) {
    this.pattern = new RegExp(`(?=(${anyOf(specials)}))`, 'g');
    this.longest = longestOf(specials);
    this.beginnings = new Set(
      specials.flatMap((text) => Array.from({ length: text.length - 1 }, (_, i) => text.slice(0, i + 1))),
    );
  }

  /**
   * What was said has no special tokens, but for those in an assistant's messages that the template does not write itself:
   * the model's own, of calls of tools say. Those that the template looks for in a message stay special.
   * @throws INVALID_ARGUMENT if the template writes something else whichever of them are left out
   */
  render(chat: Chat, render: Render): Rendered {
    const text = render(chat);
    if (this.specials.length === 0) return { text, literal: new Set() };
    const found = { all: new Set<string>(), byAssistant: new Set<string>() };
    const looked = this.replaced(chat, (special, byAssistant) => {
      found.all.add(special);
      if (byAssistant) found.byAssistant.add(special);
      return false;
    });
    if (found.all.size === 0) return { text, literal: new Set() };
    const attempt = (rule: Rule) => this.attempt(text, looked.strings, chat, render, rule);
    const all = attempt(() => true);
    if (all) {
      const written = this.written(all);
      const own = (special: string) => !written.has(special) && !this.ends.has(special);
      if (![...found.byAssistant].some(own)) return all;
      return attempt((special, byAssistant) => !(byAssistant && own(special))) ?? all;
    }
    const tried = [...found.all].slice(0, MAX_TRIED);
    const plain = new Set(tried.filter((special) => attempt((other) => other === special)));
    const most = attempt((special) => plain.has(special) || !tried.includes(special));
    if (most) return most;
    throw new EdgeError(
      'INVALID_ARGUMENT',
      'The messages hold special tokens that change what the chat template writes: take them out, or give ' +
        'parseSpecial: true to have all of them parsed',
    );
  }

  /** The rendering of a conversation whose special tokens are marked; null if that changes its text. */
  private attempt(
    text: string,
    strings: readonly string[],
    chat: Chat,
    render: Render,
    rule: Rule,
  ): Rendered | null {
    const originals = new Map<string, string>(); // by stand-in
    const { chat: marked } = this.replaced(chat, rule, standIns(originals, [text, ...strings]));
    const literal = new Set<number>();
    let written: string;
    try {
      written = render(marked);
    } catch {
      return null; // it looks for what is not there
    }
    let restored = '';
    for (const character of written) {
      const original = originals.get(character);
      if (original !== undefined) literal.add(restored.length);
      restored += original ?? character;
    }
    return restored === text ? { text, literal } : null;
  }

  /** The special tokens that the template itself writes. */
  private written({ text, literal }: Rendered): Set<string> {
    const found = Array.from(text.matchAll(this.pattern)).filter(({ index }) => !literal.has(index));
    return new Set(found.map(([, special]) => special!));
  }

  /** A conversation with a stand-in where a special token begins that the rule names, and all of its strings. */
  private replaced(chat: Chat, rule: Rule, standIn = (character: string) => character) {
    const strings: string[] = [];
    const copy = (value: unknown, byAssistant: boolean): unknown => {
      if (typeof value === 'string') {
        strings.push(value);
        return this.mark(value, (special) => rule(special, byAssistant), standIn);
      }
      if (typeof value !== 'object' || value === null) return value;
      const plain = Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value));
      if (!plain) return value;
      const made: Record<string, unknown> = (Array.isArray(value) ? [] : {}) as Record<string, unknown>;
      for (const [key, inner] of Object.entries(value)) made[key] = copy(inner, byAssistant);
      return made;
    };
    const messages = chat.messages.map(
      (message) => copy(message, message.role === 'assistant') as Chat['messages'][number],
    );
    const variables = Object.entries(chat.variables ?? {}).map(([name, value]) => [
      name,
      TOKEN_VARIABLE.test(name) ? value : copy(value, false),
    ]);
    const tools = chat.tools && (copy(chat.tools, false) as Chat['tools'] & object);
    const made: Chat = {
      ...chat,
      messages,
      variables: Object.fromEntries(variables),
      ...(tools && { tools }),
    };
    return { chat: made, strings };
  }

  private mark(text: string, rule: (special: string) => boolean, standIn: (c: string) => string): string {
    const places = Array.from(text.matchAll(this.pattern))
      .filter(([, special]) => rule(special!))
      .map(({ index }) => index);
    // The next string may go on where this one ends.
    for (let length = Math.min(this.longest - 1, text.length); length > 0; length--) {
      const tail = text.slice(-length);
      if (!this.beginnings.has(tail)) continue;
      const begun = this.specials.filter((special) => special.length > length && special.startsWith(tail));
      if (begun.filter(rule).length > 0) places.push(text.length - length);
    }
    let marked = '';
    let end = 0;
    for (const place of new Set(places.sort((a, b) => a - b))) {
      const character = String.fromCodePoint(text.codePointAt(place)!);
      marked += text.slice(end, place) + standIn(character);
      end = place + character.length;
    }
    return marked + text.slice(end);
  }
}

/** Characters that none of `texts` has, one for each that it is asked for; `originals` says what they stand for. */
function standIns(originals: Map<string, string>, texts: readonly string[]): (character: string) => string {
  const given = new Map<string, string>();
  return (character) => {
    const known = given.get(character);
    if (known !== undefined) return known;
    const free = (code: number) => {
      const candidate = String.fromCodePoint(code);
      return !originals.has(candidate) && !texts.some((text) => text.includes(candidate));
    };
    const code = (character.length > 1 ? FAR_STAND_INS : STAND_INS).find(free);
    if (code === undefined)
      throw new EdgeError('INVALID_ARGUMENT', 'The messages hold every private character of Unicode');
    const made = String.fromCodePoint(code);
    given.set(character, made);
    originals.set(made, character);
    return made;
  };
}
