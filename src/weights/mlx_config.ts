import { EdgeError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { isObject, parseJson, stringifyJson } from './json.ts';
import type { SafetensorsHeader } from './safetensors.ts';

/** Limits of the metadata of a model of cartesia-mlx; beyond them, INVALID_FILE. */
export const MLX_LIMITS = { keys: 65_536, depth: 12, valueLength: 4096, layers: 4096 } as const;

export interface MlxConfig {
  config: JsonObject; // in the words of Rene's config.json
  group: number; // columns that share a scale
}

/** The config of a model of cartesia-mlx, in the words of Rene's. @throws INVALID_FILE, UNSUPPORTED_MODEL */
export function mlxConfig(file: string, header: SafetensorsHeader): MlxConfig {
  const top = unflatten(file, header.metadata);
  const model = section(top, 'model');
  const unique = Object.entries(section(model, 'unique_layers')).sort(([a], [b]) => Number(a) - Number(b));
  const repeats = integer(file, model.n_layer_repeats ?? 1, 'model.n_layer_repeats');
  const count = unique.length * repeats;
  if (count === 0 || count > MLX_LIMITS.layers)
    throw new EdgeError(
      'INVALID_FILE',
      `${file}: expected 1 to ${MLX_LIMITS.layers} layers in its metadata, found ${count}`,
    );
  only(file, 'model', model, { post_norm: true, final_proj: false });
  const kinds: Record<Kind, JsonObject | null> = { ssm: null, attn: null, mlp: null };
  const placed: Record<Kind, number[]> = { ssm: [], attn: [], mlp: [] };
  for (let i = 0; i < count; i++) {
    const block = section({ block: unique[i % unique.length]![1] }, 'block');
    only(file, `model.unique_layers.${i % unique.length}`, block, { norm_point: 'pre' });
    const layer = section(block, 'layer');
    const kind = kindOf(file, layer._class_);
    const found = READERS[kind](file, header, layer, `model.layers.${i}.layer`);
    const before = kinds[kind];
    if (before && stringifyJson(before) !== stringifyJson(found))
      throw unsupported(file, `layer ${i}`, 'only layers of one kind that are all alike are supported');
    kinds[kind] = found;
    placed[kind].push(i);
  }
  const embedding = shapeOf(file, header, 'embedding.encoder.weight');
  const quantization = section(top, 'quantization_kwargs');
  const config: JsonObject = {
    architectures: ['ReneLMHeadModel'],
    model_type: 'rene',
    d_model: embedding[1] ?? 0,
    n_layer: count,
    vocab_size: embedding[0] ?? 0,
    pad_vocab_size_multiple: 1,
    tie_word_embeddings: false,
    eos_token_id: top.eos ?? null,
    attn_layer_idx: placed.attn,
    mlp_layer_idx: placed.mlp,
    ...(kinds.ssm && { ssm_cfg: kinds.ssm }),
    ...(kinds.attn && { attn_cfg: kinds.attn }),
    ...(kinds.mlp && { mlp_cfg: kinds.mlp }),
  };
  return { config, group: integer(file, quantization.group_size ?? 64, 'quantization_kwargs.group_size') };
}

type Kind = 'ssm' | 'attn' | 'mlp';
type Read = (file: string, header: SafetensorsHeader, layer: JsonObject, prefix: string) => JsonObject;

function kindOf(file: string, name: JsonValue | undefined): Kind {
  if (name === 'layers.ssd.ssd.SSD') return 'ssm';
  if (name === 'layers.sa.SelfAttention') return 'attn';
  if (name === 'layers.ffn.FFN' || name === 'layers.ffn.SwiGLU') return 'mlp';
  const shown = JSON.stringify(name)?.slice(0, 80) ?? 'no _class_';
  throw unsupported(file, `a layer of ${shown}`, 'SSD, SelfAttention, FFN and SwiGLU are supported');
}

/** Dimensions come from shapes, what they don't tell from the config, and the rest are the defaults of the classes. */
const READERS: Readonly<Record<Kind, Read>> = {
  ssm(file, header, layer, prefix) {
    const [channels = 0, taps = 0] = shapeOf(file, header, `${prefix}.conv_weight`);
    const [nheads = 0] = shapeOf(file, header, `${prefix}.A`);
    const [inner = 0] = shapeOf(file, header, `${prefix}.rms_norm.weight`);
    const [dModel = 0] = shapeOf(file, header, 'model.norm.weight');
    const ngroups = integer(file, layer.n_groups ?? 1, 'n_groups');
    only(file, prefix, layer, { n_groups: 1 }); // its norm is over all groups, ours by group
    const limit = isObject(layer.dt_limit)
      ? [layer.dt_limit['0'] ?? 0, layer.dt_limit['1'] ?? Number.POSITIVE_INFINITY]
      : (layer.dt_limit ?? [0, Number.POSITIVE_INFINITY]);
    return {
      layer: 'Mamba2',
      expand: inner / dModel,
      headdim: inner / nheads,
      ngroups,
      d_state: (channels - inner) / (2 * ngroups),
      d_conv: taps,
      dt_limit: limit,
      norm_before_gate: layer.norm_before_gate ?? false,
      bias: header.entries.has(`${prefix}.in_proj.bias`),
      conv_bias: header.entries.has(`${prefix}.conv_bias`),
    };
  },
  attn(file, header, layer, prefix) {
    const [rows = 0] = shapeOf(file, header, `${prefix}.qkv_proj.weight`);
    const [dModel = 0] = shapeOf(file, header, 'model.norm.weight');
    const headDim = integer(file, layer.d_head ?? 64, 'd_head');
    const expand = typeof layer.expand === 'number' ? layer.expand : 1;
    const heads = Math.floor(Math.round(expand * dModel) / headDim);
    const window = layer.max_context_len === undefined ? 4096 : layer.max_context_len;
    if (window === null) only(file, prefix, layer, { causal: true });
    return {
      num_heads: heads,
      num_heads_kv: (rows / headDim - heads) / 2,
      head_dim: headDim,
      qkv_proj_bias: header.entries.has(`${prefix}.qkv_proj.bias`),
      out_proj_bias: header.entries.has(`${prefix}.out_proj.bias`),
      sliding_window_length: window,
    };
  },
  mlp(file, header, layer, prefix) {
    const swiglu = layer._class_ === 'layers.ffn.SwiGLU';
    const [rows = 0] = shapeOf(file, header, `${prefix}.in_proj.weight`);
    const [dModel = 0] = shapeOf(file, header, 'model.norm.weight');
    const glu = layer.glu ?? swiglu;
    return {
      expand: rows / dModel,
      bias: header.entries.has(`${prefix}.in_proj.bias`),
      activation: layer.activation ?? 'swish',
      glu,
      norm: glu === true && (layer.norm ?? swiglu),
    };
  },
};

/** Keys `a.b.0.c` as nested objects; lists are objects by index. */
function unflatten(file: string, metadata: Readonly<Record<string, string>>): JsonObject {
  const entries = Object.entries(metadata);
  if (entries.length > MLX_LIMITS.keys)
    throw new EdgeError(
      'INVALID_FILE',
      `${file}: ${entries.length} keys of metadata; at most ${MLX_LIMITS.keys} are read`,
    );
  const top = Object.create(null) as JsonObject;
  for (const [key, text] of entries) {
    const path = key.split('.');
    const label = `${file}, metadata '${key.slice(0, 100)}'`;
    if (path.length > MLX_LIMITS.depth || text.length > MLX_LIMITS.valueLength)
      throw new EdgeError(
        'INVALID_FILE',
        `${label}: at most ${MLX_LIMITS.depth} levels and ${MLX_LIMITS.valueLength} characters are read`,
      );
    let node = top;
    for (const part of path.slice(0, -1)) {
      const next = node[part] ?? (Object.create(null) as JsonObject);
      if (!isObject(next)) throw new EdgeError('INVALID_FILE', `${label} lies inside a plain value`);
      node[part] = next;
      node = next;
    }
    node[path.at(-1)!] = key === 'format' ? text : parseJson(label, text);
  }
  return top;
}

function section(parent: JsonObject, key: string): JsonObject {
  const value = parent[key];
  return isObject(value) ? value : {};
}

function shapeOf(file: string, { entries }: SafetensorsHeader, name: string): readonly number[] {
  const entry = entries.get(name);
  if (!entry)
    throw new EdgeError('INVALID_FILE', `${file} has no tensor '${name}', which its metadata asks for`);
  return entry.shape;
}

function integer(file: string, value: JsonValue, key: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > 2 ** 31)
    throw new EdgeError('INVALID_FILE', `${file}: expected ${key} to be a positive integer in its metadata`);
  return value;
}

function only(file: string, place: string, config: JsonObject, wanted: JsonObject): void {
  for (const [key, value] of Object.entries(wanted))
    if (config[key] !== undefined && config[key] !== value)
      throw unsupported(file, `${place}.${key}`, `only ${JSON.stringify(value)} is supported`);
}

function unsupported(file: string, what: string, instead: string): EdgeError {
  return new EdgeError('UNSUPPORTED_MODEL', `${file}: ${what}: ${instead}`);
}
