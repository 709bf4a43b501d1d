/** Writes models as mlx-lm's convert does: mlx_lm/models/*.py `sanitize`, mlx_lm/utils.py, and MLX's affine quantize. */
import type { JsonObject } from '../../src/types.ts';
import { bf16ToF32, f16ToF32, f32ToF16 } from '../../src/weights/half.ts';
import { f32ToBf16 } from '../helpers/bf16.ts';
import { floatsOf, type RawFixture, type RawTensor } from './reexport.ts';

export type Dtype = 'F32' | 'F16' | 'BF16';
export interface Affine {
  bits: number;
  group: number;
}

/** A tensor by values. */
export interface Valued {
  shape: number[];
  values: Float32Array;
}
type Values = Map<string, Valued>;

/** What mlx-lm has in its folder; and what all of it stands for, as the values of a folder of transformers. */
export interface MlxLm {
  config: JsonObject;
  tensors: Record<string, RawTensor>;
  plain: { config: JsonObject; tensors: Record<string, RawTensor> };
}

/**
 * A fixture through mlx-lm: sanitized, rounded to `dtype`, quantized where `affine` says so and a matrix's columns are
 * whole groups. `own` are modules with settings of their own.
 */
export function asMlxLm(
  { config, tensors }: Pick<RawFixture, 'config' | 'tensors'>,
  dtype: Dtype,
  affine: Affine | null = null,
  own: Readonly<Record<string, Affine>> = {},
): MlxLm {
  const sanitized = sanitize(config, tensors);
  const out: Record<string, RawTensor> = {};
  const meant: Values = new Map();
  for (const [name, { shape, values }] of sanitized) {
    const module = name.replace(/\.weight$/, '');
    const how = own[module] ?? affine;
    if (how && shape.length === 2 && shape[1]! % how.group === 0) {
      const { parts, meaning } = quantized(values, shape as [number, number], how, dtype);
      for (const [kind, part] of Object.entries(parts)) out[`${module}.${kind}`] = part;
      meant.set(name, { shape, values: meaning });
      continue;
    }
    const rounded = stored(values, shape, dtype);
    out[name] = rounded;
    meant.set(name, { shape, values: floatsOf(rounded) });
  }
  const settings = (of: Affine): JsonObject => ({ group_size: of.group, bits: of.bits, mode: 'affine' });
  const modules = Object.fromEntries(Object.entries(own).map(([name, of]) => [name, settings(of)]));
  const quantization: JsonObject | null = affine && { ...settings(affine), ...modules };
  return {
    config: { ...config, ...(quantization && { quantization, quantization_config: quantization }) },
    tensors: out,
    plain: plain(config, meant),
  };
}

/** `sanitize` of mlx_lm/models/{mamba2,granitemoehybrid,falcon_h1}.py. */
function sanitize(config: JsonObject, tensors: Record<string, RawTensor>): Values {
  const out: Values = new Map();
  for (const [name, tensor] of Object.entries(tensors)) {
    const values = floatsOf(tensor);
    const { shape } = tensor;
    if (name.endsWith('conv1d.weight')) out.set(name, { shape: [shape[0]!, shape[2]!, shape[1]!], values });
    else if (name.includes('.shared_mlp.')) {
      const to = name.replace('shared_mlp.', 'mlp.');
      const half = values.length / 2;
      if (name.endsWith('output_linear.weight'))
        out.set(to.replace('output_linear', 'down_proj'), { shape, values });
      else
        for (const [i, part] of ['gate_proj', 'up_proj'].entries())
          out.set(to.replace('input_linear', part), {
            shape: [shape[0]! / 2, shape[1]!],
            values: values.slice(i * half, (i + 1) * half),
          });
    } else
      out.set(name, {
        shape,
        values: config.model_type === 'falcon_h1' ? folded(config, name, values) : values,
      });
  }
  return out;
}

/** The multipliers that falcon_h1.py folds in. It looks for 'key_proj', which no tensor is called, and leaves v alone. */
function folded(config: JsonObject, name: string, values: Float32Array): Float32Array {
  const by = (key: string) => config[key] as number;
  const [gate, down] = config.mlp_multipliers as [number, number];
  const rules: Record<string, number> = {
    embed_tokens: by('embedding_multiplier'),
    lm_head: by('lm_head_multiplier'),
    q_proj: by('attention_in_multiplier'),
    k_proj: by('attention_in_multiplier'),
    key_proj: by('attention_in_multiplier') * by('key_multiplier'),
    o_proj: by('attention_out_multiplier'),
    out_proj: by('ssm_out_multiplier'),
    gate_proj: gate,
    down_proj: down,
  };
  const module = name.split('.').at(-2)!;
  if (module !== 'in_proj') return values.map((x) => x * (rules[module] ?? 1));
  const [inner, bc, heads] = [
    by('mamba_d_ssm'),
    by('mamba_n_groups') * by('mamba_d_state'),
    by('mamba_n_heads'),
  ];
  const rows = [inner, inner, bc, bc, heads].flatMap((count, i) =>
    Array.from({ length: count }, () => (config.ssm_multipliers as number[])[i]!),
  );
  const width = values.length / rows.length;
  return values.map((x, i) => x * by('ssm_in_multiplier') * rows[Math.floor(i / width)]!);
}

/** Back in the names of transformers; of Falcon-H1's multipliers those left that are in no weight. */
function plain(config: JsonObject, tensors: Values): MlxLm['plain'] {
  const out: Record<string, RawTensor> = {};
  const put = (name: string, shape: number[], values: Float32Array) => {
    out[name] = stored(values, shape, 'F32');
  };
  for (const [name, { shape, values }] of tensors) {
    if (name.endsWith('conv1d.weight')) put(name, [shape[0]!, shape[2]!, shape[1]!], values);
    else if (name.includes('.mlp.up_proj.')) continue;
    else if (name.includes('.mlp.gate_proj.')) {
      const up = tensors.get(name.replace('gate_proj', 'up_proj'))!;
      const both = Float32Array.from([...values, ...up.values]);
      put(name.replace('mlp.gate_proj', 'shared_mlp.input_linear'), [2 * shape[0]!, shape[1]!], both);
    } else if (name.endsWith('.v_proj.weight') && config.attention_in_multiplier) {
      const by = config.attention_in_multiplier as number;
      put(
        name,
        shape,
        values.map((x) => x * by),
      );
    } else put(name.replace('.mlp.down_proj', '.shared_mlp.output_linear'), shape, values);
  }
  if (config.model_type !== 'falcon_h1') return { config, tensors: out };
  const { tie_word_embeddings: tied, embedding_multiplier: embedding, lm_head_multiplier: head } = config;
  const left = {
    embedding_multiplier: 1,
    lm_head_multiplier: tied ? (head as number) / (embedding as number) : 1,
    attention_in_multiplier: 1,
    attention_out_multiplier: 1,
    ssm_in_multiplier: 1,
    ssm_out_multiplier: 1,
    ssm_multipliers: [1, 1, 1, 1, 1],
    mlp_multipliers: [1, 1],
  };
  return { config: { ...config, ...left }, tensors: out };
}

function stored(values: Float32Array, shape: number[], dtype: Dtype): RawTensor {
  const data = dtype === 'F32' ? values : dtype === 'F16' ? f32ToF16(values) : f32ToBf16(values);
  return { dtype, shape, data: new Uint8Array(data.slice().buffer) };
}

/** `mx.quantize` of mlx/backend/cpu/quantized.cpp; codes follow each other as bits, the lowest first. */
function quantized(
  values: Float32Array,
  [rows, cols]: [number, number],
  { bits, group }: Affine,
  dtype: Dtype,
): { parts: Record<string, RawTensor>; meaning: Float32Array } {
  const most = 2 ** bits - 1;
  const groups = values.length / group;
  const bytes = new Uint8Array((values.length * bits) / 8);
  const codes = new Uint8Array(values.length);
  const [scales, biases] = [new Float32Array(groups), new Float32Array(groups)];
  for (let g = 0; g < groups; g++) {
    const part = values.subarray(g * group, (g + 1) * group);
    const [low, high] = [Math.min(...part), Math.max(...part)];
    const mask = Math.abs(low) > Math.abs(high);
    const step = Math.max((high - low) / most, 1e-7);
    const edge = mask ? low : high;
    const q0 = Math.round(edge / (mask ? step : -step));
    scales[g] = q0 === 0 ? (mask ? step : -step) : edge / q0;
    biases[g] = q0 === 0 ? 0 : edge;
    for (const [i, x] of part.entries()) {
      const q = Math.min(most, Math.max(0, Math.round((x - biases[g]!) / scales[g]!)));
      codes[g * group + i] = q;
      for (let b = 0; b < bits; b++) {
        const bit = (g * group + i) * bits + b;
        bytes[bit >> 3]! |= ((q >> b) & 1) << (bit & 7);
      }
    }
  }
  const round = (x: Float32Array) =>
    dtype === 'F32' ? x : dtype === 'F16' ? f16ToF32(f32ToF16(x)) : bf16ToF32(f32ToBf16(x));
  const [s, z] = [round(scales), round(biases)];
  return {
    parts: {
      weight: { dtype: 'U32', shape: [rows, (cols * bits) / 32], data: bytes },
      scales: stored(scales, [rows, cols / group], dtype),
      biases: stored(biases, [rows, cols / group], dtype),
    },
    meaning: Float32Array.from(codes, (q, i) => s[Math.floor(i / group)]! * q + z[Math.floor(i / group)]!),
  };
}
