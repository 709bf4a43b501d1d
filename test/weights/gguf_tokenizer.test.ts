import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openFileSet } from '../../src/io/fileset.ts';
import { parseTokenizer } from '../../src/tokenizer/index.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { sharedData } from '../helpers/provided.ts';
import { expectVectors, NEOX, ownVectors, publishedVectors, read } from '../tokenizer/vectors.ts';
import { expectError, files, json } from './files.ts';
import { type GgufValue, gguf } from './gguf_file.ts';

async function tokenizerOf(metadata: [string, GgufValue][], beside: Record<string, Uint8Array> = {}) {
  const all: [string, GgufValue][] = [['general.architecture', { string: 'other' }], ...metadata];
  return openCheckpoint(files({ 'x.gguf': gguf(all), ...beside }));
}

const strings = (...items: string[]): GgufValue => ({ array: [8, items] });
const SMALL: [string, GgufValue][] = [
  ['tokenizer.ggml.model', { string: 'gpt2' }],
  ['tokenizer.ggml.pre', { string: 'gpt-2' }],
  ['tokenizer.ggml.tokens', strings('<s>', '</s>', 'a', 'b', 'Ġ', 'ab', 'Ġab', '<tool>', '[PAD8]', 'old')],
  ['tokenizer.ggml.token_type', { array: [5, [3, 3, 1, 1, 1, 1, 1, 4, 4, 5]] }],
  ['tokenizer.ggml.merges', strings('a b', 'Ġ ab', 'b a')],
  ['tokenizer.ggml.bos_token_id', { u32: 0 }],
  ['tokenizer.ggml.eos_token_id', { u32: 1 }],
];
const but = (key: string, value: GgufValue): [string, GgufValue][] =>
  SMALL.map(([name, old]) => [name, name === `tokenizer.ggml.${key}` ? value : old]);

describe("a vocabulary in the form of GPT-NeoX's", () => {
  /** tokenizer.json as llama.cpp's converter writes it. */
  function metadata(): [string, GgufValue][] {
    const { model, added_tokens } = JSON.parse(readFileSync(NEOX, 'utf8'));
    const tokens = Object.keys(model.vocab).sort((a, b) => model.vocab[a] - model.vocab[b]);
    const types = tokens.map(() => 1);
    for (const { id, content, special } of added_tokens) {
      tokens[id] = content;
      types[id] = special ? 3 : 4;
    }
    return [
      ['tokenizer.ggml.model', { string: 'gpt2' }],
      ['tokenizer.ggml.tokens', strings(...tokens)],
      ['tokenizer.ggml.token_type', { array: [5, types] }],
      ['tokenizer.ggml.merges', strings(...model.merges.map((pair: string[]) => pair.join(' ')))],
    ];
  }

  test.each([
    ['a file without tokenizer.ggml.pre', []],
    ['olmo', [['tokenizer.ggml.pre', { string: 'olmo' }]]],
  ] as [string, [string, GgufValue][]][])(
    '%s: 60 vectors, and every id as with the original',
    async (_, pre) => {
      const checkpoint = await tokenizerOf([...metadata(), ...pre]);
      const found = parseTokenizer({ name: 'x', tokenizer: checkpoint.tokenizer!, config: null }, 1026);
      const { tokenizer: original, vectors } = ownVectors('neox');
      expect(vectors).toHaveLength(60);
      expectVectors(found, vectors);
      for (let id = 0; id < 1026; id++) expect(found.decode([id]), `${id}`).toBe(original.decode([id]));
    },
  );
});

test("llama.cpp's file of GPT-NeoX's vocabulary: every vector and every id of the original", async (context) => {
  const file = sharedData(context, 'data/model-files/ggml-vocab-gpt-neox.gguf');
  const folder = sharedData(context, 'data/tokenizers');
  const checkpoint = await openCheckpoint(await openFileSet(file));
  await checkpoint.close();
  const found = parseTokenizer({ name: 'x', tokenizer: checkpoint.tokenizer!, config: null }, 50288);
  const { vectors } = JSON.parse(readFileSync(join(folder, '20B_tokenizer.vectors.json'), 'utf8'));
  expect(vectors).toHaveLength(60);
  expectVectors(found, vectors);
  expectVectors(found, publishedVectors(folder));
  const original = read(join(folder, '20B_tokenizer.json'));
  for (let id = 0; id < 50277; id++) expect(found.decode([id]), `${id}`).toBe(original.decode([id]));
});

describe('the tokenizer of a GGUF file', () => {
  test('tokens, merges, types', async () => {
    const checkpoint = await tokenizerOf([
      ...SMALL,
      ['tokenizer.chat_template', { string: '{{ x }}' }],
      ['tokenizer.chat_templates', { array: [8, ['tool_use']] }],
      ['tokenizer.chat_template.tool_use', { string: '{{ tools }}' }],
    ]);
    expect(checkpoint.tokenizerConfig).toEqual({
      bos_token: '<s>',
      eos_token: '</s>',
      chat_template: [
        { name: 'default', template: '{{ x }}' },
        { name: 'tool_use', template: '{{ tools }}' },
      ],
    });
    const tokenizer = parseTokenizer({ name: 'x', tokenizer: checkpoint.tokenizer!, config: null }, 10);
    expect([...tokenizer.encode('ab ab<tool>ba</s>')]).toEqual([5, 6, 7, 3, 2, 1]);
    expect([...tokenizer.encode('ab', { addSpecialTokens: true })]).toEqual([5]);
    expect(tokenizer.decode([0, 5, 6, 8, 9, 7])).toBe('<s>ab ab<tool>'); // 8 is padding, 9 is not used
  });

  test('bos where the file asks for it; eos ends no prompt', async () => {
    const add = (key: string): [string, GgufValue] => [`tokenizer.ggml.add_${key}_token`, { bool: true }];
    for (const [wanted, ids] of [
      [['bos'], [0, 2]],
      [['eos'], [2]],
      [
        ['bos', 'eos'],
        [0, 2],
      ],
    ] as const) {
      const checkpoint = await tokenizerOf([...SMALL, ...wanted.map(add)]);
      const tokenizer = parseTokenizer({ name: 'x', tokenizer: checkpoint.tokenizer!, config: null }, 10);
      expect([...tokenizer.encode('a', { addSpecialTokens: true })]).toEqual(ids);
      expect([...tokenizer.encode('a')]).toEqual([2]);
    }
  });

  test('a piece that begins with a byte order mark keeps it', async () => {
    const scores: [string, GgufValue] = ['tokenizer.ggml.scores', { array: [6, [0, 0, 0, -1, -2]] }];
    const pieces = strings('<unk>', '<s>', '▁', '\ufeff', 'a');
    const checkpoint = await tokenizerOf([
      ['tokenizer.ggml.model', { string: 'llama' }],
      ['tokenizer.ggml.tokens', pieces],
      ['tokenizer.ggml.token_type', { array: [5, [2, 3, 1, 1, 1]] }],
      scores,
    ]);
    const tokenizer = parseTokenizer({ name: 'x', tokenizer: checkpoint.tokenizer!, config: null }, 5);
    expect([...tokenizer.encode('\ufeffa', { continues: true })]).toEqual([3, 4]);
  });

  test('a tokenizer.json beside the file comes first', async () => {
    const text = json({ model: { type: 'BPE', vocab: { x: 0 }, merges: [] } });
    const checkpoint = await tokenizerOf(SMALL, { 'tokenizer.json': text });
    expect(checkpoint.tokenizer).toBe(new TextDecoder().decode(text));
    expect(checkpoint.tokenizerConfig).toEqual({ bos_token: '<s>', eos_token: '</s>' });
    const template: [string, GgufValue] = ['tokenizer.chat_template', { string: 'of the file' }];
    const config = json({ bos_token: 'b', chat_template: 'beside' });
    const both = await tokenizerOf([...SMALL, template], { 'tokenizer_config.json': config });
    expect(both.tokenizerConfig).toEqual({ bos_token: 'b', eos_token: '</s>', chat_template: 'beside' });
  });

  test('other kinds are none', async () => {
    for (const metadata of [but('model', { string: 'bert' }), but('pre', { string: 'whitespace' }), []])
      expect(await tokenizerOf(metadata)).toMatchObject({ tokenizer: null });
  });

  test('damaged tables are refused', async () => {
    const refuse = (metadata: [string, GgufValue][], pattern: RegExp) =>
      expectError(() => tokenizerOf(metadata), 'INVALID_FILE', /x\.gguf/, pattern);
    await refuse(but('tokens', { array: [4, [1, 2]] }), /tokens to be an array of strings/);
    await refuse(but('tokens', { u32: 1 }), /tokens to be an array/);
    await refuse(but('merges', strings('ab')), /merges.*"ab"/);
    await refuse(but('merges', strings('a ')), /merges.*"a "/);
    await refuse(but('token_type', { array: [5, [1]] }), /each of the 10 tokens/);
    await refuse(but('token_type', strings('x')), /token_type to be an array of numbers/);
  });
});
