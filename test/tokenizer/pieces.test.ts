import { readFileSync } from 'node:fs';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { describe, expect, test } from 'vitest';
import { parseTokenizer, type Tokenizer } from '../../src/tokenizer/index.ts';
import type { JsonObject } from '../../src/types.ts';
import { Random } from '../helpers/random.ts';
import { KINDS, sentencePiece, special } from './sentencepiece.ts';

const NANO: JsonObject = JSON.parse(
  readFileSync(new URL('../models/nano/tokenizer.json', import.meta.url), 'utf8'),
);
const SPACES = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const GPT4 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|${SPACES}`;
const TEKKEN = String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${SPACES}`;

const split = (Regex: string): JsonObject => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated' });
const bytes = (use_regex: boolean): JsonObject => ({ type: 'ByteLevel', add_prefix_space: false, use_regex });
const sequence = (...pretokenizers: JsonObject[]): JsonObject => ({
  pre_tokenizer: { type: 'Sequence', pretokenizers },
});
const added = (...tokens: JsonObject[]): JsonObject => ({
  added_tokens: [...(NANO.added_tokens as JsonObject[]), ...tokens],
});
const nano = (...more: JsonObject[]): JsonObject => Object.assign({}, NANO, ...more);

/** Tokenizers whose texts are cut, by what could go wrong there. */
const CUT: Record<string, JsonObject> = {
  'byte-level': nano(),
  'with a prefix space': nano({ pre_tokenizer: { ...bytes(true), add_prefix_space: true } }),
  normalized: nano({
    normalizer: { type: 'Sequence', normalizers: [{ type: 'NFKC' }, { type: 'Lowercase' }] },
  }),
  'GPT-4': nano(sequence(split(GPT4), bytes(false))),
  tekken: nano(sequence(split(TEKKEN), bytes(false))),
  'digits first': nano(sequence({ type: 'Digits', individual_digits: true }, bytes(true))),
  'added tokens with spaces in them and around': nano(
    added(
      special(1030, '<two words>'),
      special(1031, '<l>', { lstrip: true }),
      special(1032, '<r>', { rstrip: true }),
      special(1033, 'cat', { single_word: true }),
      special(1034, '    ', { special: false, normalized: true }),
    ),
  ),
  ...Object.fromEntries(Object.keys(KINDS).map((kind) => [`SentencePiece, ${kind}`, sentencePiece(kind)])),
};

/** Those that can't be, or are not known well enough. */
const WHOLE: Record<string, JsonObject> = {
  'a normalizer that sees the whole': nano({
    normalizer: { type: 'Strip', strip_left: true, strip_right: true },
  }),
  'an unknown pattern': nano(sequence(split(String.raw`"[^"]*"|\w+|\W`), bytes(false))),
  'tokens across words': nano(added(special(1030, 'the cat', { normalized: true }))),
  'no words at all': nano({ pre_tokenizer: bytes(false) }),
};

const PARTS = [
  ...['the', ' cat', ' sat', ' and', ' a1', ' 12', '345 ', ' é', 'e\u0301 ', ' Ångström', ' ΣΑΣ', ' ﬁ'],
  ...[' ', '  ', '\n', '\r\n', '\t', '\u0085', '\uFEFF', '    ', '\u00A0', '.', ', ', "'s ", "n't", '"', '…'],
  ...['猫', '日本語。', ' 한국어 ', ' 🦙', '🏽', ' ﷺ ﱞ b', '▁', ' ▁x', 'Ġ', 'word '.repeat(6)],
];
/** Not as often: what is between them is cut only where it is long. */
const SPECIAL = [
  ...['<|endoftext|>', '<s>', '</s> ', ' <l> ', ' <r> ', '<two words>', '<two ', 'words>', 'thecat'],
  'long'.repeat(30),
];

function text(random: Random, length: number): string {
  let made = '';
  while (made.length < length) {
    const parts = random.uniform() < 0.03 ? SPECIAL : PARTS;
    made += parts[Math.floor(random.uniform() * parts.length)];
  }
  return made;
}

const parse = (json: JsonObject) =>
  parseTokenizer({ name: 'of a test', tokenizer: JSON.stringify(json) }, 2048);

/** How the encoder of a tokenizer takes texts apart. */
const cutting = (tokenizer: Tokenizer) =>
  (tokenizer as unknown as { encoder: { cuttable: boolean; piece: number } }).encoder;

describe.each(Object.entries(CUT))('%s', (_, json) => {
  test('pieces give the ids of the whole', () => {
    const [tokenizer, uncut] = [parse(json), parse(json)];
    expect(cutting(tokenizer)).toMatchObject({ cuttable: true, piece: 4096 });
    cutting(uncut).cuttable = false;
    for (let seed = 1; seed <= 12; seed++) {
      const input = text(new Random(seed), 2500);
      cutting(tokenizer).piece = 16 * seed;
      const continues = seed % 3 === 0;
      const ids = tokenizer.encode(input, { continues });
      expect(ids, `seed ${seed}`).toEqual(uncut.encode(input, { continues }));
    }
  });
});

describe.each(Object.entries(WHOLE))('%s', (_, json) => {
  test('is not cut, and others run between its words', () => {
    const tokenizer = parse(json);
    expect(cutting(tokenizer).cuttable).toBe(false);
    let pieces = 0;
    const work = tokenizer.encoding('the cat sat. '.repeat(2000));
    while (!work.next().done) pieces++;
    expect(pieces).toBeGreaterThan(3);
  });
});

test.each(['byte-level', 'normalized', 'SentencePiece, llama'])('%s: the ids of the library', (name) => {
  const tokenizer = parse(CUT[name]!);
  const library = new Library({ post_processor: null, ...CUT[name]! }, {});
  for (let seed = 1; seed <= 12; seed++) {
    // What the library does otherwise than the original: white space that JavaScript does not know.
    const input = text(new Random(seed), 400).replace(/[\u0085\uFEFF]/g, '');
    const { ids } = library.encode(input, { add_special_tokens: false });
    expect([...tokenizer.encode(input)], JSON.stringify(input)).toEqual(ids.filter((id) => id !== undefined));
  }
});

test('a text of special tokens lets others run', () => {
  let pieces = 0;
  const work = parse(NANO).encoding('the<|endoftext|>'.repeat(2000));
  while (!work.next().done) pieces++;
  expect(pieces).toBeGreaterThan(5);
});

test('a word without end lets others run', () => {
  const tokenizer = parse(NANO);
  const word = 'abcdefgh'.repeat(5000);
  let pieces = 0;
  const work = tokenizer.encoding(word);
  let step = work.next();
  for (; !step.done; step = work.next()) pieces++;
  expect(pieces).toBeGreaterThan(5);
  expect(tokenizer.decode(step.value)).toBe(word);
});
