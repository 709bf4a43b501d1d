import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseTokenizer } from '../../src/tokenizer/index.ts';

const file = readFileSync(new URL('../models/nano/tokenizer.json', import.meta.url), 'utf8');
const NANO = JSON.parse(file);
const nano = () => parse(NANO);
const parse = (json: unknown, vocabSize = 1024) =>
  parseTokenizer(
    { name: 'tokenizer.json', tokenizer: typeof json === 'string' ? json : JSON.stringify(json) },
    vocabSize,
  );
const refused = (run: () => unknown, pattern: RegExp, code = 'INVALID_FILE') => {
  expect(run).toThrowError(pattern);
  expect(run).toThrowError(expect.objectContaining({ code }));
};

describe('text to ids and back', () => {
  test.each([
    '',
    'Once upon a time, there was a cat.',
    ' two  spaces\n\n\tand more ',
    'naïve 猫 🦙🏽 \u0000 \uFEFF \u0085\u0085 x',
    'a real \uFFFD replacement \uFFFD\uFFFD',
    '<|endoftext|>a<|endoftext|>',
  ])('%j', (text) => {
    const tokenizer = nano();
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test('lone surrogates become U+FFFD, as in any UTF-8', () => {
    const tokenizer = nano();
    expect(tokenizer.decode(tokenizer.encode('a\uD800b'))).toBe('a\uFFFDb');
  });

  test('whitespace is what Unicode says, also beside U+0085 and U+FEFF', () => {
    // White_Space: ' ', U+0085 and then ' x' | U+FEFF is an ordinary symbol, which takes the space before it
    const ids = (text: string) => [...nano().encode(text)];
    expect(ids(' \u0085 x')).toEqual([...ids(' \u0085'), ...ids(' x')]);
    expect(ids('  \uFEFFx')).toEqual([...ids(' '), ...ids(' \uFEFF'), ...ids('x')]);
  });

  test('ids out of range are refused, padding of the vocabulary is no text', () => {
    const tokenizer = parse(NANO, 1040);
    expect(tokenizer.size).toBe(1024);
    expect(tokenizer.decode([1030])).toBe('');
    for (const id of [1040, -1, 1.5, Number.NaN])
      refused(() => tokenizer.decode([id]), /0 to 1039/, 'INVALID_ARGUMENT');
  });

  test('special tokens of a template are added on request only', () => {
    const special = { id: '<|endoftext|>', ids: [0], tokens: ['<|endoftext|>'] };
    const template = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<|endoftext|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<|endoftext|>': special },
    };
    const tokenizer = parse({ ...NANO, post_processor: template });
    const plain = [...tokenizer.encode('a cat')];
    expect([...tokenizer.encode('a cat', { addSpecialTokens: true })]).toEqual([0, ...plain]);
    expect(plain).not.toContain(0);
  });

  test('half a megabyte without a space', () => {
    const text = 'abcdefgh'.repeat(1 << 16);
    const tokenizer = nano();
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});

describe('damaged files', () => {
  const bpe = (model: object) => ({ ...NANO, model: { ...NANO.model, ...model } });

  test.each<[string, unknown, RegExp]>([
    ['no JSON', '{"model": ', /is no JSON/],
    ['a list', [], /not an object/],
    ['null', 'null', /not an object/],
    ['deep nesting', '['.repeat(200_000), /is no JSON/],
    ['no model', { ...NANO, model: undefined }, /no 'model'/],
    ['an unknown model', { ...NANO, model: { type: 'Magic', vocab: null } }, /vocab/],
    ['a vocabulary of strings', bpe({ vocab: { a: '1' } }), /the id "1"/],
    ['a negative id', bpe({ vocab: { a: -1 } }), /the id -1/],
    ['merges that are none', bpe({ merges: 'a b' }), /'merges'/],
    ['a merge of three', bpe({ merges: ['a b c'] }), /no pair: entry 0/],
    ['a merge out of the vocabulary', bpe({ merges: [['a', '☃']] }), /"☃", which has no id/],
    ['an added token without content', { ...NANO, added_tokens: [{ id: 1 }] }, /entry 0/],
    ['an unknown decoder', { ...NANO, decoder: { type: 'Magic' } }, /can't be used.*Magic/],
    ['an unknown pre-tokenizer', { ...NANO, pre_tokenizer: { type: 'Magic' } }, /can't be used.*Magic/],
  ])('%s', (_, json, pattern) => refused(() => parse(json), pattern));

  test('an absurd id', () => refused(() => parse(bpe({ vocab: { a: 2 ** 52 }, merges: [] })), /at most/));
});

describe('more ids than the model', () => {
  const more = {
    ...NANO,
    added_tokens: [...NANO.added_tokens, { id: 1024, content: '<pad>', special: true }],
  };
  const tokenizer = parse(more, 1024);

  test('text without them is what it was; text that holds one is refused by it', () => {
    const text = 'Once upon a time, there was a dog.';
    expect(tokenizer.encode(text)).toEqual(parse(NANO).encode(text));
    refused(
      () => tokenizer.encode(`${text}<pad>`),
      /"<pad>", token 1024 .* from 0 to 1023/,
      'INVALID_ARGUMENT',
    );
    expect(tokenizer.encode('<pad>', { parseSpecial: false }).length).toBeGreaterThan(1);
    refused(() => tokenizer.decode([1024]), /0 to 1023/, 'INVALID_ARGUMENT');
  });

  test('what it would begin a text with is left out', () => {
    const post_processor = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<pad>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<pad>': { id: '<pad>', ids: [1024], tokens: ['<pad>'] } },
    };
    const beginning = parse({ ...more, post_processor }, 1024);
    expect(beginning.firstIds).toEqual([]);
    expect(parse({ ...more, post_processor }, 1025).firstIds).toEqual([1024]);
    expect(beginning.encode('dog', { addSpecialTokens: true })).toEqual(parse(NANO).encode('dog'));
  });
});
