import { describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { reference } from '../../src/backends/reference/index.ts';
import type { JsonObject } from '../../src/types.ts';
import { uploadWeights } from '../../src/weights/upload.ts';
import { relativeError } from '../helpers/compare.ts';
import { loadFixture } from '../helpers/fixtures.ts';
import { logitsOf } from './golden.ts';

type Tensors = Map<string, { dtype: string; shape: number[]; values: Float32Array }>;

const IDS = [3, 77, 12, 5, 5, 190, 31, 8, 100];

/** Logits of all positions on the float64 reference, loaded as a user's checkpoint is. */
async function logits(config: JsonObject, tensors: Tensors): Promise<Float32Array> {
  const blueprint = findArchitecture(config).read(config, tensors);
  const program = blueprint.program({ chunk: 16, maxContext: 64 });
  const f32 = { kind: 'float', dtype: 'f32' } as const;
  const formats = Object.fromEntries(Object.keys(program.weights).map((name) => [name, f32]));
  const executor = await reference.create(program, formats, { slots: 1, numerics: 'exact', threads: 1 });
  const stored = new Map(
    [...tensors].map(([name, { dtype, shape, values }]) => {
      const long = shape.filter((n) => n !== 1);
      const cols = long.at(-1) ?? 1;
      const read = async (row: number, rows: number) => {
        return { format: f32, rows, cols, data: values.slice(row * cols, (row + rows) * cols) };
      };
      const rows = values.length / cols;
      return [
        name,
        { name, file: 'f', dtype, shape, rows, cols, bytes: 4 * values.length, format: f32, read },
      ];
    }),
  );
  await uploadWeights(
    { tensors: stored } as unknown as Parameters<typeof uploadWeights>[0],
    blueprint.sources,
    program.weights,
    formats,
    (name) => executor.sink(name),
    { blockRows: 64 },
  );
  await executor.ready();
  return logitsOf({ executor, program }, IDS, IDS.length);
}

describe('Falcon-H1', () => {
  test('multipliers are those of the weights that they multiply', async () => {
    const { config, tensors } = loadFixture('falcon-h1');
    const factors = {
      embedding_multiplier: 5.5,
      lm_head_multiplier: 0.25,
      attention_in_multiplier: 0.75,
      attention_out_multiplier: 1.5,
      key_multiplier: 0.375,
      ssm_in_multiplier: 1.25,
      ssm_out_multiplier: 0.625,
      mlp_multipliers: [0.875, 0.5],
      ssm_multipliers: [0.5, 1.5, 0.75, 1.25, 2],
    };
    const [z, x, B, C, dt] = factors.ssm_multipliers.map((by) => by * 1.25);
    const inProj = [
      [128, z],
      [128, x],
      [16, B],
      [16, C],
      [8, dt],
    ].flatMap(([rows, by]) => Array.from({ length: rows! }, () => by!));
    const rules: [RegExp, (row: number) => number][] = [
      [/embed_tokens/, () => 5.5],
      [/lm_head/, () => 0.25],
      [/[qv]_proj/, () => 0.75],
      [/k_proj/, () => 0.75 * 0.375],
      [/o_proj/, () => 1.5],
      [/mamba.in_proj/, (row) => inProj[row]!],
      [/mamba.out_proj/, () => 0.625],
      [/gate_proj/, () => 0.875],
      [/down_proj/, () => 0.5],
    ];
    const scaled: Tensors = new Map(
      [...(tensors as Tensors)].map(([name, tensor]) => {
        const by = rules.find(([pattern]) => pattern.test(name))?.[1] ?? (() => 1);
        const width = tensor.values.length / tensor.shape[0]!;
        const values = tensor.values.map((value, i) => value * by(Math.floor(i / width)));
        return [name, { ...tensor, values }];
      }),
    );
    const plain = await logits(config, scaled);
    const multiplied = await logits({ ...config, ...factors }, tensors as Tensors);
    expect(relativeError(multiplied, plain)).toBeLessThan(1e-6);
    expect(relativeError(multiplied, await logits(config, tensors as Tensors))).toBeGreaterThan(0.1);
  });
});

describe('mamba2attn', () => {
  const dModel = 24;
  const [heads, kvHeads, headDim, rotaryDims, taps, hidden] = [4, 2, 8, 6, 3, 128];
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const config: JsonObject = {
    d_model: dModel,
    n_layer: 1,
    vocab_size: 208,
    d_intermediate: 100,
    attn_layer_idx: [0],
    attn_cfg: {
      causal: true,
      d_conv: taps,
      head_dim: headDim,
      num_heads: heads,
      num_heads_kv: kvHeads,
      out_proj_bias: false,
      qkv_proj_bias: false,
      rotary_emb_dim: rotaryDims,
    },
    ssm_cfg: { layer: 'Mamba2', headdim: 8 },
    tie_embeddings: true,
  };
  let seed = 7;
  const tensors: Tensors = new Map();
  const add = (name: string, shape: number[], size = 1) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return size * (seed / 2 ** 31 - 1);
    });
    tensors.set(name, { dtype: 'F32', shape, values });
  };
  const at = 'backbone.layers.0';
  add('backbone.embedding.weight', [208, dModel]);
  add('backbone.norm_f.weight', [dModel]);
  add(`${at}.norm.weight`, [dModel]);
  add(`${at}.mixer.in_proj.weight`, [q + 2 * kv, dModel], 0.5);
  add(`${at}.mixer.conv1d.weight`, [q + 2 * kv, 1, taps]);
  add(`${at}.mixer.conv1d.bias`, [q + 2 * kv]);
  add(`${at}.mixer.out_proj.weight`, [dModel, q], 0.5);
  add(`${at}.norm2.weight`, [dModel]);
  add(`${at}.mlp.fc1.weight`, [2 * hidden, dModel], 0.5);
  add(`${at}.mlp.fc2.weight`, [dModel, hidden], 0.5);

  // The published code's equations (mamba_ssm: modules/block.py, mha.py, mlp.py), position by position.
  const w = (name: string) => tensors.get(name)!.values;
  const times = (name: string, x: number[]) =>
    Array.from({ length: w(name).length / x.length }, (_, o) =>
      x.reduce((sum, value, i) => sum + w(name)[o * x.length + i]! * value, 0),
    );
  const norm = (name: string, x: number[]) => {
    const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, i) => (value / Math.sqrt(mean + 1e-5)) * w(name)[i]!);
  };
  const turned = (x: number[], position: number) => {
    const y = [...x];
    for (let i = 0; i < rotaryDims / 2; i++) {
      const angle = position / 10_000 ** ((2 * i) / rotaryDims);
      const [a, b] = [x[i]!, x[i + rotaryDims / 2]!];
      y[i] = a * Math.cos(angle) - b * Math.sin(angle);
      y[i + rotaryDims / 2] = a * Math.sin(angle) + b * Math.cos(angle);
    }
    return y;
  };
  function expected(): number[] {
    const residuals = IDS.map((id) =>
      Array.from(w('backbone.embedding.weight').slice(id * dModel, (id + 1) * dModel)),
    );
    const projected = residuals.map((x) => times(`${at}.mixer.in_proj.weight`, norm(`${at}.norm.weight`, x)));
    const convolved = projected.map((_, t) =>
      Array.from({ length: q + 2 * kv }, (_, c) => {
        let sum = w(`${at}.mixer.conv1d.bias`)[c]!;
        for (let j = 0; j < taps; j++)
          sum += w(`${at}.mixer.conv1d.weight`)[c * taps + j]! * (projected[t - taps + 1 + j]?.[c] ?? 0);
        return sum;
      }),
    );
    const part = (t: number, first: number) => convolved[t]!.slice(first, first + headDim);
    return residuals.flatMap((x, t) => {
      const mixed = Array.from({ length: heads }, (_, h) => {
        const group = Math.floor(h / (heads / kvHeads));
        const query = turned(part(t, h * headDim), t);
        const scores = IDS.slice(0, t + 1).map((_, s) => {
          const key = turned(part(s, q + group * headDim), s);
          return Math.exp(query.reduce((sum, value, i) => sum + value * key[i]!, 0) / Math.sqrt(headDim));
        });
        const total = scores.reduce((a, b) => a + b);
        return Array.from({ length: headDim }, (_, i) =>
          scores.reduce((sum, score, s) => sum + (score / total) * part(s, q + kv + group * headDim)[i]!, 0),
        );
      }).flat();
      const added = times(`${at}.mixer.out_proj.weight`, mixed).map((value, i) => value + x[i]!);
      const fc1 = times(`${at}.mlp.fc1.weight`, norm(`${at}.norm2.weight`, added));
      const inner = Array.from({ length: hidden }, (_, i) => {
        const gate = fc1[hidden + i]!;
        return (fc1[i]! * gate) / (1 + Math.exp(-gate));
      });
      const out = times(`${at}.mlp.fc2.weight`, inner).map((value, i) => value + added[i]!);
      return times('backbone.embedding.weight', norm('backbone.norm_f.weight', out));
    });
  }

  test('attention with a convolution, rotary embedding and a gated MLP, as the published code has them', async () => {
    expect(relativeError(await logits(config, tensors), Float32Array.from(expected()))).toBeLessThan(1e-6);
  });
});
