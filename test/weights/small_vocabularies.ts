/** Vocabularies in which every pair of a few characters is a token: whatever cuts between two of them shows in the ids. */

import { parseTokenizer, type Tokenizer } from '../../src/tokenizer/index.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { Random } from '../helpers/random.ts';
import { files } from './files.ts';
import { type GgufValue, gguf } from './gguf_file.ts';

type Metadata = [string, GgufValue][];

/** Letters, digits, punctuation and spaces of every kind that patterns look at. */
const ALPHABET = [..."abZY12'st!/.$ \n\r\té日\u0301Ⅷ\u00a0"];
const TEXTS = [
  "It's 12,345!!\n\n  a b\tZ1é日 ",
  "abZY12'st!/.$ \n\r\té日\u0301Ⅷ\u00a0",
  "aZbY ABab don'T YOU'LL we'Re 'sa 's",
  '   a\n \n  b  \r\n\r\n\tt1 2121212 121a',
  '<tool>a <tool> b<s>',
  ' ',
];

/** Texts for them: some that were thought of, others of random characters. */
export function vocabularyTexts(count: number): string[] {
  const random = new Random('vocabulary texts');
  const character = () => ALPHABET[random.below(ALPHABET.length)]!;
  const texts = Array.from({ length: count }, () =>
    Array.from({ length: 1 + random.below(24) }, character).join(''),
  );
  return [...TEXTS, ...texts.map((text) => text.normalize('NFC'))]; // llama.cpp does not normalize
}

/** GPT-2's alphabet of bytes. */
const BYTES = [...Array(256).keys()].map((byte) => {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  return printable ? String.fromCharCode(byte) : null;
});
let other = 0x100;
const CHARACTERS = BYTES.map((character) => character ?? String.fromCharCode(other++));
const byteLevel = (text: string) => Array.from(new TextEncoder().encode(text), (byte) => CHARACTERS[byte]!);

/** Pairs of characters in an order of their own. */
function pairs(): [string, string][] {
  const random = new Random('vocabulary pairs');
  const all = ALPHABET.flatMap((a) => ALPHABET.map((b): [string, string] => [a, b]));
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}

const strings = (items: string[]): GgufValue => ({ array: [8, items] });

/** Byte-level BPE with a pre-tokenizer. */
export function byteLevelVocabulary(pre: string): Metadata {
  const tokens = ['<s>', '</s>', '<tool>', ...CHARACTERS];
  const merges: string[] = [];
  const merge = (left: string, right: string) => {
    if (tokens.includes(left + right)) return;
    merges.push(`${left} ${right}`);
    tokens.push(left + right);
  };
  for (const character of ALPHABET)
    byteLevel(character).reduce((left, right) => {
      merge(left, right);
      return left + right;
    });
  for (const [a, b] of pairs()) merge(byteLevel(a).join(''), byteLevel(b).join(''));
  for (const word of ['121', "b'", 'Ġab']) merge(word.slice(0, 2), word.slice(2));
  return [
    ['tokenizer.ggml.model', { string: 'gpt2' }],
    ['tokenizer.ggml.pre', { string: pre }],
    ['tokenizer.ggml.tokens', strings(tokens)],
    ['tokenizer.ggml.token_type', { array: [5, tokens.map((_, id) => (id < 2 ? 3 : id === 2 ? 4 : 1))] }],
    ['tokenizer.ggml.merges', strings(merges)],
    ['tokenizer.ggml.bos_token_id', { u32: 0 }],
    ['tokenizer.ggml.eos_token_id', { u32: 1 }],
  ];
}

/** SentencePiece's BPE with bytes to fall back to; 日 and Ⅷ are no pieces. */
export function sentencePieceVocabulary(): Metadata {
  const hex = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
  const bytes = [...Array(256).keys()].map(hex);
  const plain = ALPHABET.filter((character) => !'日Ⅷ\n\r\t'.includes(character));
  const piece = (text: string) => text.replaceAll(' ', '▁');
  const made = pairs()
    .filter((pair) => pair.every((character) => plain.includes(character)))
    .map((pair) => piece(pair.join('')));
  const longer = ['▁aZ', 'aZbY', '▁▁▁', 'don', '▁don', 'bY▁'].filter((text) => !made.includes(text));
  const pieces = [...made, ...longer, ...plain.map(piece), ...'dornALUOBRLTwe'.replaceAll(/[tT]/g, '')];
  const unique = [...new Set(pieces)];
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, '<tool>', ...unique];
  const type = (id: number) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : id === 259 ? 4 : 1);
  const scores = tokens.map((_, id) => (id < 260 ? 0 : 259 - id));
  return [
    ['tokenizer.ggml.model', { string: 'llama' }],
    ['tokenizer.ggml.pre', { string: 'default' }],
    ['tokenizer.ggml.tokens', strings(tokens)],
    ['tokenizer.ggml.token_type', { array: [5, tokens.map((_, id) => type(id))] }],
    ['tokenizer.ggml.scores', { f32s: scores }],
    ['tokenizer.ggml.bos_token_id', { u32: 1 }],
    ['tokenizer.ggml.eos_token_id', { u32: 2 }],
    ['tokenizer.ggml.unknown_token_id', { u32: 0 }],
  ];
}

/** One of each kind that is read: by `tokenizer.ggml.pre`, and SentencePiece's. */
export const VOCABULARIES: Readonly<Record<string, Metadata>> = {
  ...Object.fromEntries(
    [
      'gpt-2 mpt llama-bpe dbrx qwen2 grok-2 qwen35 gpt-4o tekken refact command-r falcon deepseek-v3 deepseek-coder',
      'seed-coder bloom viking falcon-h1 smollm',
    ].flatMap((names) => names.split(' ').map((pre) => [pre, byteLevelVocabulary(pre)])),
  ),
  sentencepiece: sentencePieceVocabulary(),
};

/** The tokenizer that a GGUF file with this metadata gives. */
export async function smallTokenizer(metadata: Metadata): Promise<Tokenizer> {
  const all: Metadata = [['general.architecture', { string: 'other' }], ...metadata];
  const { tokenizer, tokenizerConfig } = await openCheckpoint(files({ 'x.gguf': gguf(all) }));
  return parseTokenizer({ name: 'x', tokenizer: tokenizer!, config: tokenizerConfig }, 2000);
}

/** Whether llama.cpp cuts a text as the vocabulary's makers do: of these it knows the pattern for ASCII's letters only. */
export function sameInLlama(name: string, text: string): boolean {
  return !['gpt-4o', 'tekken'].includes(name) || !/[\p{M}é]/u.test(text);
}
