import { expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import type { JsonObject } from '../../src/types.ts';
import type { ExportedModel } from '../../src/weights/gguf_layouts.ts';
import { ggufLayout } from '../../src/weights/gguf_layouts.ts';
import type { Checkpoint, TensorShape } from '../../src/weights/types.ts';
import { expectError } from './files.ts';
import { rawFixture } from './reexport.ts';

/** The layout of a model of which only config and shapes are known. */
function layoutOf(config: JsonObject, tensors: ReadonlyMap<string, TensorShape>) {
  const blueprint = findArchitecture(config).read(config, tensors);
  const program = blueprint.program({ chunk: 64, maxContext: 512 });
  const checkpoint = { name: 'some/model' } as Checkpoint;
  return ggufLayout({ ...blueprint, checkpoint, program, formats: {} } satisfies ExportedModel);
}

function fixtureLayout(name: string, changes: JsonObject = {}) {
  const { config, tensors } = rawFixture(name);
  return layoutOf({ ...config, ...changes }, new Map(Object.entries(tensors)));
}

test('what llama.cpp computes otherwise, or not at all, is refused and named', async () => {
  const refuse = (name: string, changes: JsonObject, ...patterns: RegExp[]) =>
    expectError(() => fixtureLayout(name, changes), 'UNSUPPORTED_MODEL', /some\/model/, ...patterns);
  await refuse(
    'rene-a',
    {},
    /llama\.cpp has no place for 'rene' models/,
    /mamba2, granitemoehybrid, falcon_h1/,
  );
  for (const [name, architecture] of [
    ['mamba2-a', 'mamba2'],
    ['granite-hybrid', 'granitehybrid'],
    ['falcon-h1', 'falcon-h1'],
  ] as const)
    await refuse(
      name,
      { time_step_limit: [0.01, 1] },
      new RegExp(`llama\\.cpp's ${architecture} has no place for limits`),
    );
  await refuse('falcon-h1', { mamba_norm_before_gate: true }, /a norm before the gate/);
  await refuse('mamba2-c-untied-f16', {}, /a convolution without a bias/);
});

test('attention among the layers of Mamba-2 is refused', async () => {
  const [d, inner, state, heads, conv] = [32, 64, 16, 8, 96];
  const config = {
    d_model: d,
    n_layer: 2,
    vocab_size: 64,
    attn_layer_idx: [1],
    attn_cfg: {
      causal: true,
      d_conv: 3,
      head_dim: 8,
      num_heads: 4,
      out_proj_bias: false,
      qkv_proj_bias: false,
    },
    ssm_cfg: { layer: 'Mamba2', headdim: 8, d_state: state },
    tie_embeddings: true,
  };
  const at = (layer: number, shapes: Record<string, number[]>) =>
    Object.entries(shapes).map(([name, shape]): [string, TensorShape] => [
      `backbone.layers.${layer}.${name}`,
      { dtype: 'F32', shape },
    ]);
  const tensors = new Map<string, TensorShape>([
    ['backbone.embedding.weight', { dtype: 'F32', shape: [64, d] }],
    ['backbone.norm_f.weight', { dtype: 'F32', shape: [d] }],
    ...at(0, {
      'norm.weight': [d],
      'mixer.in_proj.weight': [inner + conv + heads, d],
      'mixer.conv1d.weight': [conv, 1, 4],
      'mixer.conv1d.bias': [conv],
      'mixer.dt_bias': [heads],
      'mixer.A_log': [heads],
      'mixer.D': [heads],
      'mixer.norm.weight': [inner],
      'mixer.out_proj.weight': [d, inner],
    }),
    ...at(1, {
      'norm.weight': [d],
      'mixer.in_proj.weight': [96, d],
      'mixer.conv1d.weight': [96, 1, 3],
      'mixer.conv1d.bias': [96],
      'mixer.out_proj.weight': [d, 32],
    }),
  ]);
  await expectError(
    () => layoutOf(config, tensors),
    'UNSUPPORTED_MODEL',
    /mamba2 has no place for attention/,
  );
});

test('a tied head that is scaled otherwise than the embedding is written out', () => {
  const names = (changes: JsonObject) => {
    const { config, tensors } = rawFixture('falcon-h1');
    const { 'lm_head.weight': _, ...rest } = tensors;
    const layout = layoutOf(
      { ...config, tie_word_embeddings: true, ...changes },
      new Map(Object.entries(rest)),
    );
    const heads = layout.places.filter(([weight]) => weight === 'embedding');
    return heads.map(([, { name, scale }]) => [name, scale]);
  };
  expect(names({})).toEqual([['token_embd.weight', 1]]);
  expect(names({ embedding_multiplier: 2, lm_head_multiplier: 0.5 })).toEqual([
    ['token_embd.weight', 2],
    ['output.weight', 0.5],
  ]);
});

test("names and shapes are llama.cpp's", () => {
  const { places } = fixtureLayout('granite-hybrid');
  const shapes = Object.fromEntries(places.map(([, { name, shape }]) => [name, shape]));
  expect(shapes).toMatchObject({
    'token_embd.weight': [256, 64],
    'blk.0.ssm_a': [8, 1],
    'blk.0.ssm_norm.weight': [1, 128],
    'blk.0.ffn_norm.weight': [64],
    'blk.2.attn_k.weight': [32, 64],
    'blk.3.ffn_gate.weight': [128, 64],
    'blk.3.ffn_up.weight': [128, 64],
    'blk.3.ffn_down.weight': [64, 128],
  });
  const falcon = fixtureLayout('falcon-h1').places.map(([, { name }]) => name);
  expect(falcon).toContain('blk.1.ffn_norm'); // so llama.cpp's converter has it
  expect(new Set(falcon).size).toBe(falcon.length);
});
