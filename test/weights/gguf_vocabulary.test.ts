import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseTokenizer } from '../../src/tokenizer/index.ts';
import type { JsonObject, JsonValue } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { ggufTokenizer } from '../../src/weights/gguf_tokenizer.ts';
import { ggufVocabulary } from '../../src/weights/gguf_vocabulary.ts';
import { type GgufValue, ggufChunks } from '../../src/weights/gguf_write.ts';
import { files } from './files.ts';
import { gguf, type GgufValue as TestValue } from './gguf_file.ts';
import { VOCABULARIES } from './small_vocabularies.ts';

/** The text of the tokenizer.json that a GGUF file gives, with what goes around a text. */
async function read(metadata: readonly [string, TestValue][]): Promise<string> {
  const bytes = gguf([['general.architecture', { string: 'other' }], ...metadata]);
  return (await openCheckpoint(files({ 'x.gguf': bytes }))).tokenizer!;
}

/** The same, of what is written of a tokenizer.json. */
async function throughGguf(text: string, size: number, bos: number | null, eos: number[]): Promise<string> {
  const { metadata, lack } = ggufVocabulary(text, size, bos, eos);
  expect(lack).toBeNull();
  const head: Record<string, GgufValue> = { 'general.architecture': { string: 'other' }, ...metadata };
  const parts: Uint8Array[] = [];
  for await (const part of ggufChunks(head, [])) parts.push(part.slice());
  const bytes = new Uint8Array(Buffer.concat(parts));
  return (await openCheckpoint(files({ 'x.gguf': bytes }))).tokenizer!;
}

test.each(Object.entries(VOCABULARIES))('a %s vocabulary comes back as it was', async (_, metadata) => {
  const text = await read(metadata);
  expect(JSON.parse(await throughGguf(text, 1200, 0, [1]))).toEqual(JSON.parse(text));
});

test('pieces of equal scores come back as they were', async () => {
  const metadata = VOCABULARIES.sentencepiece!.map(([key, value]): [string, TestValue] =>
    key.endsWith('.scores') && 'f32s' in value
      ? [key, { f32s: value.f32s.map((score) => Math.floor(score / 3)) }]
      : [key, value],
  );
  const text = await read(metadata);
  expect(JSON.parse(await throughGguf(text, 1200, 0, [1]))).toEqual(JSON.parse(text));
});

test('bos and eos around a text, of another id than the config has', async () => {
  const added: [string, TestValue][] = [
    ['tokenizer.ggml.add_bos_token', { bool: true }],
    ['tokenizer.ggml.add_eos_token', { bool: true }],
  ];
  for (const name of ['gpt-2', 'sentencepiece']) {
    const text = await read([...VOCABULARIES[name]!, ...added]);
    expect(JSON.parse(await throughGguf(text, 1200, 7, [9]))).toEqual(JSON.parse(text));
    const { metadata } = ggufVocabulary(text, 1200, 7, [9, 11]);
    const first = name === 'gpt-2' ? 0 : 1;
    expect(metadata).toMatchObject({
      'tokenizer.ggml.bos_token_id': { u32: first },
      'tokenizer.ggml.eos_token_id': { u32: first + 1 },
      'tokenizer.ggml.eot_token_id': { u32: 9 },
      'tokenizer.ggml.eom_token_id': { u32: 11 },
    });
  }
});

test("nano's tokenizer.json", () => {
  const text = readFileSync(new URL('../models/nano/tokenizer.json', import.meta.url), 'utf8');
  const { metadata, lack } = ggufVocabulary(text, 1024, 0, [0]);
  expect(lack).toBeNull();
  const plain = Object.entries(metadata).map(([key, value]) => [key, Object.values(value)[0] as JsonValue]);
  const back = ggufTokenizer('x.gguf', Object.fromEntries(plain) as JsonObject)!;
  const parse = (json: string) => parseTokenizer({ name: 'x', tokenizer: json, config: null }, 1024);
  for (const sample of ['Once upon a time, there was 1 dog.', "It's naïve — 日本!\n\n  x"])
    expect(parse(back).encode(sample)).toEqual(parse(text).encode(sample));
});

describe('as others write a tokenizer.json', () => {
  const preOf = async (change: (json: JsonObject) => void, name = 'gpt-2') => {
    const json = JSON.parse(await read(VOCABULARIES[name]!)) as JsonObject;
    change(json);
    const { metadata, lack } = ggufVocabulary(JSON.stringify(json), 1200, null, []);
    const { 'tokenizer.ggml.pre': pre } = metadata;
    return lack ?? (pre as { string: string }).string;
  };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  const sequence = (...steps: JsonObject[]) => ({ type: 'Sequence', pretokenizers: steps });

  test('the same pattern in other words', async () => {
    const digits = sequence({ type: 'Digits', individual_digits: true }, byteLevel);
    expect(await preOf((json) => void Object.assign(json, { pre_tokenizer: digits }))).toBe('refact');
    const nfc = (json: JsonObject) => {
      json.pre_tokenizer = digits;
      json.normalizer = { type: 'Sequence', normalizers: [{ type: 'NFC' }] };
    };
    expect(await preOf(nfc)).toBe('command-r');
    const removed = (json: JsonObject) => {
      const [split, last] = (json.pre_tokenizer as { pretokenizers: JsonObject[] }).pretokenizers;
      json.pre_tokenizer = sequence({ ...split, behavior: 'Removed', invert: true }, last!);
    };
    expect(await preOf(removed, 'dbrx')).toBe('dbrx');
    const merges = (json: JsonObject) =>
      void Object.assign(json.model as JsonObject, { merges: ['a b', 'b Z'] });
    expect(await preOf(merges)).toBe('gpt-2');
  });

  test('Metaspace of SentencePiece', async () => {
    const spaced = (pre: JsonObject) => (json: JsonObject) => {
      json.normalizer = null;
      json.pre_tokenizer = { type: 'Metaspace', replacement: '▁', ...pre };
    };
    for (const [pre, prefix] of [
      [{ prepend_scheme: 'first' }, true],
      [{ prepend_scheme: 'never' }, false],
      [{ add_prefix_space: true }, true],
    ] as const) {
      const json = JSON.parse(await read(VOCABULARIES.sentencepiece!)) as JsonObject;
      spaced(pre)(json);
      const { metadata } = ggufVocabulary(JSON.stringify(json), 1200, null, []);
      expect(metadata['tokenizer.ggml.add_space_prefix']).toEqual({ bool: prefix });
    }
  });

  test('what GGUF has no name for is said', async () => {
    const split = { type: 'Split', pattern: { Regex: 'x+' }, behavior: 'Isolated', invert: false };
    const last = { ...byteLevel, use_regex: false };
    for (const [name, change, pattern] of [
      ['gpt-2', { pre_tokenizer: sequence(split, last) }, /no name for its pre-tokenizer .*x\+/],
      ['gpt-2', { pre_tokenizer: { type: 'Whitespace' } }, /pre-tokenizer .*Whitespace/],
      ['gpt-2', { pre_tokenizer: null }, /pre-tokenizer null/],
      ['gpt-2', { normalizer: { type: 'Lowercase' } }, /normalizer .*Lowercase/],
      ['gpt-2', { model: { type: 'WordPiece', vocab: {} } }, /"WordPiece", not BPE/],
      ['sentencepiece', { normalizer: { type: 'NFKC' } }, /normalizer .*NFKC/],
    ] as const)
      expect(await preOf((json) => void Object.assign(json, change), name)).toMatch(pattern);
    const turned = (json: JsonObject) => void (json.model as { merges: JsonValue[] }).merges.pop();
    expect(await preOf(turned, 'sentencepiece')).toMatch(/merges are not in an order that scores/);
    expect(ggufVocabulary(null, 10, null, [3])).toEqual({
      metadata: { 'tokenizer.ggml.model': { string: 'no_vocab' }, 'tokenizer.ggml.eos_token_id': { u32: 3 } },
      lack: 'the model came without a tokenizer.json',
    });
  });
});
