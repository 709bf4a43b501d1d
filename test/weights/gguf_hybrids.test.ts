import { describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { relativeError } from '../helpers/compare.ts';
import { loadFixture } from '../helpers/fixtures.ts';
import { expectError, files } from './files.ts';
import { type GgufValue, gguf } from './gguf_file.ts';
import { llamaGguf } from './llama_layout.ts';
import { loadedLogits } from './loaded.ts';
import { rawFixture, safetensors } from './reexport.ts';

const NAMES = ['granite-hybrid', 'falcon-h1', 'falcon-h1-multipliers', 'mamba2-a'];
const IDS = [5, 11, 42, 7];
const HYBRIDS = ['granite-hybrid', 'falcon-h1'];
const open = (bytes: Uint8Array) => openCheckpoint(files({ 'x.gguf': bytes }));

describe.each(NAMES)('%s as llama.cpp writes it', (name) => {
  test('has the published logits', async () => {
    const { expected } = loadFixture(name);
    const set = files({ 'x.gguf': llamaGguf(rawFixture(name)) });
    const keys = [...expected.keys()].filter((key) => key.endsWith('logits')).slice(0, 6);
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) {
      const { shape, values } = expected.get(key)!;
      const ids = expected.get(key.replace('logits', 'ids'))!.values;
      const found = await loadedLogits(set, ids, { last: shape[0]! });
      expect(relativeError(found, values), key).toBeLessThanOrEqual(1e-4);
    }
  });
});

describe.each(HYBRIDS)('%s as llama.cpp writes it', (name) => {
  const fixture = rawFixture(name);

  test.each([
    ['q4_0', 'q4'],
    ['q8_0', 'q8'],
  ] as const)('%s: as quantized while it loads', async (block, quantize) => {
    const found = await loadedLogits(files({ 'x.gguf': llamaGguf(fixture, block) }), IDS);
    const plain = {
      'model.safetensors': await safetensors(fixture.tensors),
      'config.json': fixture.configBytes,
    };
    const wanted = await loadedLogits(files(plain), IDS, { quantize });
    // Granite's q and k rows lie in another order, so their products are summed in another.
    expect(relativeError(found, wanted)).toBeLessThanOrEqual(1e-6);
  });

  test('q, k and v in one tensor', async () => {
    const fused = { 'x.gguf': llamaGguf(fixture, 'f32', [], { fuse: true }) };
    const split = { 'x.gguf': llamaGguf(fixture) };
    expect(await loadedLogits(files(fused), IDS)).toEqual(await loadedLogits(files(split), IDS));
  });

  test('bos and eos, eot among them', async () => {
    const ends: [string, GgufValue][] = [
      ['tokenizer.ggml.bos_token_id', { u32: 3 }],
      ['tokenizer.ggml.eos_token_id', { u32: 4 }],
      ['tokenizer.ggml.eot_token_id', { u32: 9 }],
    ];
    const { config } = await open(llamaGguf(fixture, 'f32', ends));
    expect(config).toMatchObject({ bos_token_id: 3, eos_token_id: [4, 9] });
    const tokens = Array.from({ length: 256 }, (_, id) =>
      id === 7 || id === 8 ? '<|im_end|>'.slice(id - 7) : `t${id}`,
    );
    const types: GgufValue = { array: [5, tokens.map(() => 3)] };
    const named: [string, GgufValue][] = [
      ['tokenizer.ggml.tokens', { array: [8, tokens] }],
      ['tokenizer.ggml.token_type', types],
    ];
    const byText = await open(llamaGguf(fixture, 'f32', [...ends, ...named]));
    expect(byText.config).toMatchObject({ eos_token_id: [4, 9, 7] });
  });
});

test('what the program has not is refused by its name', async () => {
  const refuse = async (name: string, key: string, value: GgufValue, ...patterns: RegExp[]) => {
    const { config, tensors } = await open(llamaGguf(rawFixture(name), 'f32', [[key, value]]));
    await expectError(() => findArchitecture(config).read(config, tensors), 'UNSUPPORTED_MODEL', ...patterns);
  };
  const rope: GgufValue = { bool: true };
  await refuse(
    'granite-hybrid',
    'granitehybrid.rope.scaling.finetuned',
    rope,
    /position_embedding_type/,
    /rope/,
  );
  await refuse('granite-hybrid', 'granitehybrid.expert_count', { u32: 64 }, /num_local_experts = 64/);
  await refuse('falcon-h1', 'falcon-h1.rope.scaling.type', { string: 'yarn' }, /rope_scaling/, /yarn/);
});

test('damaged facts are refused', async () => {
  const refuse = (key: string, value: GgufValue, ...patterns: RegExp[]) =>
    expectError(
      () => open(llamaGguf(rawFixture('granite-hybrid'), 'f32', [[`granitehybrid.${key}`, value]])),
      'INVALID_FILE',
      /x\.gguf/,
      ...patterns,
    );
  await refuse('attention.head_count_kv', { array: [5, [0, 2]] }, /head_count_kv.*a list of 4/);
  await refuse('attention.head_count_kv', { array: [5, [0, 2, 4, 0]] }, /head_count_kv.*\[0,2,4,0\]/);
  await refuse('ssm.time_step_rank', { u32: 7 }, /128 to be a multiple of the 7 heads/);
  await refuse('ssm.state_size', { string: 'x' }, /state_size.*positive number.*"x"/);
  await refuse('logit_scale', { f32: -1 }, /logit_scale.*positive number.*-1/);
});

test('of other architectures the message names the one that was found and those that load', async () => {
  for (const name of ['llama', 'granite', 'falcon_h1']) {
    const { config, tensors } = await open(gguf([['general.architecture', { string: name }]]));
    await expectError(
      () => findArchitecture(config).read(config, tensors),
      'UNSUPPORTED_MODEL',
      `general.architecture "${name}"; supported are mamba2, granitehybrid, falcon-h1`,
    );
  }
});
