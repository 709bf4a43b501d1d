/** Writes models as cartesia-mlx does: the config in the metadata, flattened, every value JSON. */
import type { JsonObject, JsonValue } from '../../src/types.ts';
import { negExp } from '../../src/weights/math.ts';
import { safetensorsChunks } from '../../src/weights/safetensors.ts';
import type { RawTensor } from './reexport.ts';

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

export async function mlxFile(config: JsonObject, tensors: Tensors): Promise<Uint8Array> {
  const pieces = Object.entries(tensors).map(([name, tensor]) => ({ name, ...tensor }));
  const parts: Uint8Array[] = [];
  for await (const part of safetensorsChunks(flatten(config), pieces)) parts.push(part.slice());
  return new Uint8Array(Buffer.concat(parts));
}

const f32 = (tensor: RawTensor) =>
  new Float32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length / 4);

/** A Rene fixture of f32 in the names and the config of cartesia-mlx. */
export function reneAsMlx(config: JsonObject, tensors: Tensors): { config: JsonObject; tensors: Tensors } {
  const attention = config.attn_layer_idx as number[];
  const mlp = config.mlp_layer_idx as number[];
  const [ssm, attn, ffn] = ['ssm_cfg', 'attn_cfg', 'mlp_cfg'].map((key) => config[key] as JsonObject);
  const layers = Array.from({ length: config.n_layer as number }, (_, i): JsonObject => {
    const layer: JsonObject = attention.includes(i)
      ? {
          _class_: 'layers.sa.SelfAttention',
          d_head: attn!.head_dim ?? (config.d_model as number) / (attn!.num_heads as number),
          expand: attn!.head_dim
            ? ((attn!.head_dim as number) * (attn!.num_heads as number)) / (config.d_model as number)
            : null,
          max_context_len: attn!.sliding_window_length!,
        }
      : mlp.includes(i)
        ? { _class_: 'layers.ffn.FFN', activation: 'gelu', bias: ffn!.bias ?? true }
        : {
            _class_: 'layers.ssd.ssd.SSD',
            n_groups: ssm!.ngroups ?? 1,
            norm_before_gate: ssm!.norm_before_gate ?? false,
            dt_limit: [0, Number.POSITIVE_INFINITY],
          };
    return { _class_: 'layers.residual_block.ResidualBlock', norm_point: 'pre', layer };
  });
  const out: Tensors = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const layer = /^backbone\.layers\.(\d+)\.(.+)$/.exec(name);
    if (!layer) {
      if (name.includes('embedding')) out['embedding.encoder.weight'] = out['head.linear.weight'] = tensor;
      else out['model.norm.weight'] = tensor;
      continue;
    }
    const i = Number(layer[1]);
    let rest = layer[2]!.replace('mixer.', 'layer.');
    if (attention.includes(i)) rest = rest.replace('in_proj', 'qkv_proj');
    else if (!mlp.includes(i))
      rest = rest.replace('layer.norm', 'layer.rms_norm').replace('conv1d.', 'conv_');
    let stored = tensor;
    if (rest === 'layer.conv_weight') stored = { ...tensor, shape: tensor.shape.filter((n) => n !== 1) };
    if (rest === 'layer.A_log') {
      rest = 'layer.A';
      const values = negExp(f32(tensor).slice());
      stored = { ...tensor, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
    }
    out[`model.layers.${i}.${rest}`] = stored;
  }
  const model: JsonObject = { n_layer_repeats: 1, unique_layers: layers, post_norm: true };
  return { config: { _class_: 'models.rene.Rene', d_model: config.d_model!, eos: 0, model }, tensors: out };
}
