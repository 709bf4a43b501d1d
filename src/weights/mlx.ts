import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import { joinMlx } from './mlx_affine.ts';
import type { SafetensorsHeader } from './safetensors.ts';
import { floatStored, StoredBytes } from './stored.ts';
import type { StoredTensor } from './types.ts';

/*
 * Files of cartesia-mlx (github.com/cartesia-ai/edge): safetensors whose metadata is the config, flattened with dots,
 * every value JSON. Quantized matrices: mlx_affine.ts.
 */

/** Is this the file of a model of cartesia-mlx? */
export function isMlx({ metadata }: SafetensorsHeader): boolean {
  return /^"models\.\w+\.\w+"$/.test(metadata._class_ ?? '');
}

const NAMES: Readonly<Record<string, string>> = {
  'embedding.encoder': 'backbone.embedding',
  'model.norm': 'backbone.norm_f',
  'head.linear': 'lm_head',
  norm: 'norm',
  'layer.in_proj': 'mixer.in_proj',
  'layer.qkv_proj': 'mixer.in_proj',
  'layer.gate_proj': 'mixer.gate_proj',
  'layer.out_proj': 'mixer.out_proj',
  'layer.norm': 'mixer.norm',
  'layer.rms_norm': 'mixer.norm',
};
const VECTORS: Readonly<Record<string, string>> = {
  'layer.conv_weight': 'mixer.conv1d.weight',
  'layer.conv_bias': 'mixer.conv1d.bias',
  'layer.A': 'mixer.A',
  'layer.dt_bias': 'mixer.dt_bias',
  'layer.D': 'mixer.D',
};

/** Names as Rene's PyTorch checkpoint has them. */
function translate(name: string): string {
  const layer = /^model\.layers\.(\d{1,6})\.(.+)$/.exec(name);
  const rest = layer ? layer[2]! : name;
  const prefix = layer ? `backbone.layers.${layer[1]}.` : '';
  if (layer && Object.hasOwn(VECTORS, rest)) return prefix + VECTORS[rest];
  const dot = rest.lastIndexOf('.');
  const [base, kind] = [rest.slice(0, dot), rest.slice(dot)];
  return Object.hasOwn(NAMES, base) ? prefix + NAMES[base] + kind : name;
}

/** The tensors of a file of cartesia-mlx, by the names that Rene's PyTorch checkpoint has. @throws INVALID_FILE */
export function mlxTensors(
  source: ByteSource,
  { entries }: SafetensorsHeader,
  group: number,
): Map<string, StoredTensor> {
  const file = source.name;
  const stored = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, begin, end }] of entries)
    stored.set(name, floatStored({ name, file, dtype, shape }, new StoredBytes(source, begin, end)));
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of joinMlx(stored, () => ({ group }))) {
    const translated = translate(name);
    if (tensors.has(translated))
      throw new EdgeError(
        'INVALID_FILE',
        `${file}: tensor '${name.slice(0, 100)}' is a second '${translated}'`,
      );
    tensors.set(translated, tensor);
  }
  return tensors;
}
