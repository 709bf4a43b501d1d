import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readPrompt } from '../../src/engine/language/prompt.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { expectError, files } from './files.ts';
import { type GgufValue, gguf } from './gguf_file.ts';
import {
  byteLevelVocabulary,
  sameInLlama,
  sentencePieceVocabulary,
  smallTokenizer,
  VOCABULARIES,
  vocabularyTexts,
} from './small_vocabularies.ts';

type Metadata = [string, GgufValue][];
const VECTORS: Record<string, string[]> = JSON.parse(
  readFileSync(new URL('gguf_tokens.vectors.json', import.meta.url), 'utf8'),
);
const open = (metadata: Metadata) =>
  openCheckpoint(files({ 'x.gguf': gguf([['general.architecture', { string: 'other' }], ...metadata]) }));
const add = (key: string, value: GgufValue): [string, GgufValue] => [`tokenizer.ggml.${key}`, value];
const but = (metadata: Metadata, key: string, value?: GgufValue): Metadata => [
  ...metadata.filter(([name]) => name !== `tokenizer.ggml.${key}`),
  ...(value ? [add(key, value)] : []),
];

describe.each(Object.entries(VOCABULARIES))('a %s vocabulary', (name, metadata) => {
  test("gives llama.cpp's ids", async () => {
    const tokenizer = await smallTokenizer(metadata);
    const texts = vocabularyTexts(14);
    expect(VECTORS[name]).toHaveLength(texts.length);
    for (const [i, text] of texts.entries())
      if (sameInLlama(name, text))
        expect([...tokenizer.encode(text)].join(' '), JSON.stringify(text)).toBe(VECTORS[name]![i]);
  });
});

describe('the kinds differ', () => {
  test('no two patterns give the same ids for all texts', () => {
    const patterns =
      'gpt-2 llama-bpe qwen2 qwen35 gpt-4o tekken refact falcon deepseek-v3 deepseek-coder seed-coder';
    const names = `${patterns} bloom viking sentencepiece`.split(' ');
    expect(new Set(names.map((name) => VECTORS[name]!.join('\n'))).size).toBe(names.length);
  });

  test('decoding gives the text back', async () => {
    for (const name of ['gpt-2', 'llama-bpe', 'tekken', 'falcon']) {
      const tokenizer = await smallTokenizer(VOCABULARIES[name]!);
      for (const text of vocabularyTexts(14)) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
    const tokenizer = await smallTokenizer(sentencePieceVocabulary());
    expect(tokenizer.decode(tokenizer.encode("don't é日Ⅷ  12!"))).toBe("don't é日Ⅷ  12!");
  });

  test('a word that is a token stays whole where the kind says so', async () => {
    const ids = async (pre: string) => {
      const base = byteLevelVocabulary(pre);
      const tokens = (base.find(([key]) => key.endsWith('.tokens'))![1] as { array: [number, string[]] })
        .array[1];
      const more = but(but(base, 'tokens', { array: [8, [...tokens, 'Zab']] }), 'token_type');
      return [[...(await smallTokenizer(more)).encode('Zab')].length, tokens.length];
    };
    expect((await ids('llama-bpe'))[0]).toBe(1);
    expect((await ids('dbrx'))[0]).toBeGreaterThan(1);
  });
});

describe('bos, and eos, which ends no prompt', () => {
  const around = async (metadata: Metadata) =>
    [...(await smallTokenizer(metadata)).encode('a', { addSpecialTokens: true })].map((id) =>
      id > 2 ? 'a' : id,
    );

  test('as the file says, else as its kind does', async () => {
    for (const [pre, wanted] of [
      ['gpt-2', ['a']],
      ['dbrx', ['a']],
      ['llama-bpe', [0, 'a']],
      ['falcon-h1', [0, 'a']],
      ['tekken', [0, 'a']],
    ] as const) {
      const metadata = byteLevelVocabulary(pre);
      expect(await around(metadata), pre).toEqual(wanted);
      expect(await around([...metadata, add('add_bos_token', { bool: false })]), pre).toEqual(['a']);
      const both = [add('add_bos_token', { bool: true }), add('add_eos_token', { bool: true })];
      expect(await around([...metadata, ...both]), pre).toEqual([0, 'a']);
    }
  });

  test('of SentencePiece: bos, by its usual id where the file names none', async () => {
    const metadata = sentencePieceVocabulary();
    expect(await around(metadata)).toEqual([1, 'a']);
    const bare = but(but(but(metadata, 'bos_token_id'), 'eos_token_id'), 'unknown_token_id');
    expect(await around(bare)).toEqual([1, 'a']);
    expect(await around([...bare, add('add_eos_token', { bool: true })])).toEqual([1, 'a']);
    expect((await open(bare)).tokenizerConfig).toMatchObject({ bos_token: '<s>', eos_token: '</s>' });
  });
});

test('SentencePiece without a space before the text', async () => {
  const metadata = [...sentencePieceVocabulary(), add('add_space_prefix', { bool: false })];
  const tokenizer = await smallTokenizer(metadata);
  expect(tokenizer.decode(tokenizer.encode('a'))).toBe('a');
  expect(tokenizer.decode(tokenizer.encode(' a'))).toBe(' a');
  expect(tokenizer.encode('▁a')).toEqual(tokenizer.encode(' a'));
  const prefixed = await smallTokenizer(sentencePieceVocabulary());
  expect(prefixed.encode('a')).toEqual(tokenizer.encode(' a'));
});

describe('what is not read', () => {
  test.each([
    ['pre', { string: 'kimi-k2' }, /tokenizer\.ggml\.pre is "kimi-k2"/],
    ['model', { string: 'bert' }, /tokenizer\.ggml\.model is "bert"/],
    ['model', { string: 'no_vocab' }, /there is no vocabulary in it/],
  ] as const)('%s %o: the model loads, and text is refused by its name', async (key, value, pattern) => {
    const checkpoint = await open(but(byteLevelVocabulary('gpt-2'), key, value));
    expect(checkpoint.tokenizer).toBeNull();
    const reader = { tokenizer: null, tokenizerLack: checkpoint.tokenizerLack };
    await expectError(
      () => readPrompt('a', {}, reader, 10),
      'NO_TOKENIZER',
      /x\.gguf/,
      pattern,
      /tokenizer\.json beside the file, or give token ids/,
    );
    expect(readPrompt([1, 2], {}, reader, 10)(true)).toEqual(Int32Array.of(1, 2));
  });

  test('a tokenizer.json beside the file serves', async () => {
    const metadata = but(byteLevelVocabulary('gpt-2'), 'pre', { string: 'kimi-k2' });
    const beside = new TextEncoder().encode('{"model":{"type":"BPE","vocab":{"x":0},"merges":[]}}');
    const bytes = gguf([['general.architecture', { string: 'other' }], ...metadata]);
    const checkpoint = await openCheckpoint(files({ 'x.gguf': bytes, 'tokenizer.json': beside }));
    expect(checkpoint).toMatchObject({ tokenizer: new TextDecoder().decode(beside), tokenizerLack: null });
  });

  test('damaged scores', async () => {
    const refuse = (value?: GgufValue) =>
      expectError(
        () => open(but(sentencePieceVocabulary(), 'scores', value)),
        'INVALID_FILE',
        /x\.gguf/,
        /scores/,
      );
    await refuse();
    await refuse({ f32s: [1, 2] });
    await refuse({ string: 'x' });
  });
});
