import type {
  PreTokenizer as Library,
  SequencePreTokenizer,
  SplitPreTokenizer,
} from '@huggingface/tokenizers';
import type { JsonObject, JsonValue } from '../types.ts';
import { WORD } from './added_tokens.ts';
import { byteCharacters } from './bytes.ts';
import { splitBy } from './split.ts';

/** Prefixes of a section of a text: the tokenizer's space, or, at the beginning of all, also its first one. */
export type Start = 'text' | 'section' | 'middle';

export interface PreTokenizer {
  /** The words of a section. */
  words(text: string, start: Start): string[];
  /** Are words certainly parted before a space between letters or digits, whatever is around them? */
  readonly cuts: boolean;
  /** Is a text that is cut there otherwise taken apart as it would be? */
  readonly local: boolean;
}

const NONE: PreTokenizer = { words: (text) => [text], cuts: false, local: true };

/** The pattern of GPT-2; `\s` is Unicode's White_Space in it, which JavaScript's is not. */
const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Patterns of well-known tokenizers, none of which matches a letter or digit with a space after it. */
const CUTTING = new Set([
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  ...['1,3', '1,2', ''].map(
    (digits) =>
      String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}` +
      (digits === '' ? '' : `{${digits}}`) +
      String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ),
  ...['{1,3}', ''].map(
    (digits) =>
      String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}` +
      digits +
      String.raw`| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ),
]);
/** Patterns that match digits only. */
const DIGITS = /^(\\p\{N\}|\\d|\[0-9\])+(\{\d(,\d)?\})?$/;

const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;
const WORDS = new RegExp(`[${WORD}]+|[^${WORD}\\p{White_Space}]+`, 'gu');

/** A pre-tokenizer of a tokenizer.json, as the original does it: `library` lacks parts of what it knows, and knows others otherwise. */
export function createPreTokenizer(json: JsonValue | undefined, library: Library | null): PreTokenizer {
  if (!json || !library) return NONE;
  const config = json as JsonObject;
  const cutting = (words: PreTokenizer['words']): PreTokenizer => ({ words, cuts: true, local: true });
  const local = (words: PreTokenizer['words']): PreTokenizer => ({ words, cuts: false, local: true });
  switch (config.type) {
    case 'Sequence':
      return sequence(config, library as SequencePreTokenizer);
    case 'ByteLevel':
      return byteLevel(config);
    case 'Metaspace':
      return metaspace(config);
    case 'Split':
      return split(config, library as SplitPreTokenizer);
    case 'Digits':
      return local((text) =>
        splitBy(text, /\p{N}/gu, config.individual_digits === true ? 'isolated' : 'contiguous'),
      );
    case 'Punctuation':
      return {
        ...local((text) => splitBy(text, PUNCTUATION, config.behavior)),
        local: !String(config.behavior).startsWith('Merged'),
      };
    case 'Whitespace':
      return cutting((text) => text.match(WORDS) ?? []);
    case 'WhitespaceSplit':
      return cutting((text) => text.match(/\P{White_Space}+/gu) ?? []);
    case 'BertPreTokenizer':
      return cutting((text) => library.pre_tokenize(text));
    default:
      return { words: (text) => library.pre_tokenize(text), cuts: false, local: false };
  }
}

function sequence(config: JsonObject, library: SequencePreTokenizer): PreTokenizer {
  const steps = ((config.pretokenizers ?? []) as JsonValue[]).map((step, i) =>
    createPreTokenizer(step, library.tokenizers[i] ?? null),
  );
  // What comes after a step that cuts sees the parts one by one.
  const first = steps.findIndex(({ cuts, local }) => cuts || !local);
  return {
    words: (text, start) =>
      steps.reduce(
        (parts, step) => parts.flatMap((part, i) => step.words(part, i === 0 ? start : 'section')),
        [text],
      ),
    cuts: first >= 0 && steps[first]!.cuts,
    local: first < 0 || steps[first]!.local,
  };
}

function byteLevel(config: JsonObject): PreTokenizer {
  const prefix = config.add_prefix_space === true; // of the library; the original's default is written out in files
  const apart = config.use_regex !== false;
  return {
    words(text, start) {
      const whole = prefix && start !== 'middle' && !text.startsWith(' ') ? ` ${text}` : text;
      return (apart ? (whole.match(GPT2) ?? []) : [whole]).map(byteCharacters);
    },
    cuts: apart,
    local: true,
  };
}

function metaspace(config: JsonObject): PreTokenizer {
  const mark = typeof config.replacement === 'string' ? config.replacement : '▁';
  const scheme = config.prepend_scheme ?? (config.add_prefix_space === false ? 'never' : 'always');
  const apart = config.split !== false;
  return {
    words(text, start) {
      let marked = text.replaceAll(' ', mark);
      const wanted = scheme === 'always' ? start !== 'middle' : scheme === 'first' && start === 'text';
      if (wanted && !marked.startsWith(mark)) marked = mark + marked;
      return apart ? splitBy(marked, new RegExp(mark, 'gu'), 'mergedwithnext') : [marked];
    },
    cuts: apart,
    local: true,
  };
}

function split(config: JsonObject, { pattern }: SplitPreTokenizer): PreTokenizer {
  const { Regex: regex } = config.pattern as JsonObject;
  const isolated = String(config.behavior).toLowerCase() === 'isolated';
  const plain = typeof regex === 'string' && config.invert !== true;
  const known = plain && isolated && CUTTING.has(regex);
  const whole = config.invert === true && typeof regex === 'string' && CUTTING.has(regex); // takes the matches
  const digits = plain && isolated && DIGITS.test(regex);
  return {
    words: (text) => (pattern ? splitBy(text, pattern, config.behavior, config.invert === true) : []),
    cuts: known || whole,
    local: known || whole || digits,
  };
}
