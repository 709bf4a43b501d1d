/** Writes models as cartesia-mlx does: the config in the metadata, flattened, every value JSON. */
import type { JsonObject, JsonValue } from '../../src/types.ts';
import { negExp } from '../../src/weights/math.ts';
import { floatsOf, type RawFixture, type RawTensor, safetensors } from './reexport.ts';

export type Tensors = Record<string, RawTensor>;

/** `{a: {b: [1]}}` as `{'a.b.0': '1'}`. */
export function flatten(value: JsonValue, path = ''): Record<string, string> {
  if (value === null || typeof value !== 'object') {
    const text = value === Number.POSITIVE_INFINITY ? 'Infinity' : JSON.stringify(value);
    return { [path]: text };
  }
  const below = Object.entries(value).map(([key, item]) =>
    flatten(item, path === '' ? key : `${path}.${key}`),
  );
  return Object.assign({}, ...below) as Record<string, string>;
}

export function mlxFile(config: JsonObject, tensors: Tensors): Promise<Uint8Array> {
  return safetensors(tensors, flatten(config));
}

/** `A` as cartesia-mlx stores it: −exp(A_log), in f32. */
function negated(tensor: RawTensor): RawTensor {
  const { buffer, byteOffset, byteLength } = negExp(floatsOf(tensor));
  return { ...tensor, dtype: 'F32', data: new Uint8Array(buffer, byteOffset, byteLength) };
}

/** A Mamba-2 or Rene fixture in the names and the config of cartesia-mlx. */
export function asMlx({ config, tensors }: RawFixture): { config: JsonObject; tensors: Tensors } {
  const { dModel, layers } = config.model_type === 'mamba2' ? mamba2Layers(config) : reneLayers(config);
  const out: Tensors = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const [, i, rest] = /^backbone\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (rest === undefined) out[OUTSIDE[name]!] = tensor;
    else Object.assign(out, layerTensor(`model.layers.${i}.`, rest, layers[Number(i)]!, tensor));
  }
  out['head.linear.weight'] ??= out['embedding.encoder.weight']!; // tied
  const unique_layers = layers.map((layer): JsonObject => {
    return { _class_: 'layers.residual_block.ResidualBlock', norm_point: 'pre', layer };
  });
  const model: JsonObject = { n_layer_repeats: 1, unique_layers, post_norm: true };
  return { config: { _class_: 'models.lm.LM', d_model: dModel, eos: 0, model }, tensors: out };
}

const OUTSIDE: Readonly<Record<string, string>> = {
  'backbone.embedding.weight': 'embedding.encoder.weight',
  'backbone.embeddings.weight': 'embedding.encoder.weight',
  'backbone.norm_f.weight': 'model.norm.weight',
  'lm_head.weight': 'head.linear.weight',
};

function layerTensor(prefix: string, name: string, layer: JsonObject, tensor: RawTensor): Tensors {
  const rest = name.replace('mixer.', 'layer.');
  if (layer._class_ === 'layers.sa.SelfAttention')
    return { [prefix + rest.replace('in_proj', 'qkv_proj')]: tensor };
  if (layer._class_ !== SSD) return { [prefix + rest]: tensor };
  if (rest === 'layer.A_log') return { [`${prefix}layer.A`]: negated(tensor) };
  const flat =
    rest === 'layer.conv1d.weight' ? { ...tensor, shape: tensor.shape.filter((n) => n !== 1) } : tensor;
  return { [prefix + rest.replace('layer.norm', 'layer.rms_norm').replace('conv1d.', 'conv_')]: flat };
}

const SSD = 'layers.ssd.ssd.SSD';
const ssd = (norm_before_gate: boolean): JsonObject => ({
  _class_: SSD,
  n_groups: 1,
  norm_before_gate,
  dt_limit: [0, Number.POSITIVE_INFINITY],
});

function mamba2Layers(config: JsonObject) {
  const layers = Array.from({ length: config.num_hidden_layers as number }, () => ssd(false));
  return { dModel: config.hidden_size as number, layers };
}

function reneLayers(config: JsonObject) {
  const attention = config.attn_layer_idx as number[];
  const mlp = config.mlp_layer_idx as number[];
  const [ssm, attn, ffn] = ['ssm_cfg', 'attn_cfg', 'mlp_cfg'].map((key) => config[key] as JsonObject);
  const dModel = config.d_model as number;
  const layers = Array.from({ length: config.n_layer as number }, (_, i): JsonObject => {
    if (mlp.includes(i)) return { _class_: 'layers.ffn.FFN', activation: 'gelu', bias: ffn!.bias ?? true };
    if (!attention.includes(i)) return ssd((ssm!.norm_before_gate as boolean | undefined) ?? false);
    const d_head = (attn!.head_dim as number | undefined) ?? dModel / (attn!.num_heads as number);
    return {
      _class_: 'layers.sa.SelfAttention',
      d_head,
      expand: (d_head * (attn!.num_heads as number)) / dModel,
      max_context_len: attn!.sliding_window_length!,
    };
  });
  return { dModel, layers };
}
