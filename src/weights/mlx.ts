import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import type { GroupSize, QuantTensor } from '../types.ts';
import type { SafetensorsEntry, SafetensorsHeader } from './safetensors.ts';
import { floatStored, quantStored, StoredBytes } from './stored.ts';
import type { StoredTensor } from './types.ts';

/*
 * Files of cartesia-mlx (github.com/cartesia-ai/edge): safetensors whose metadata is the config, flattened with dots,
 * every value JSON. A quantized X.weight is U32 [rows, cols · bits / 32], codes from the lowest bits on, beside
 * X.scales and X.biases [rows, cols / group]: w = scale · q + bias, which is the canonical form as it is.
 */

const GROUPS: readonly number[] = [32, 64, 128];

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
  header: SafetensorsHeader,
  group: number,
): Map<string, StoredTensor> {
  const { entries } = header;
  const tensors = new Map<string, StoredTensor>();
  for (const entry of entries.values()) {
    const { name, dtype, shape } = entry;
    const base = name.replace(/\.(weight|scales|biases)$/, '');
    const scale = entries.get(`${base}.scales`);
    if (scale && entry !== scale && entry === entries.get(`${base}.biases`)) continue;
    if (entry === scale) {
      if (!entries.has(`${base}.weight`)) throw fault(source.name, name, `has no '${base}.weight' beside it`);
      continue;
    }
    const quantized = scale !== undefined && name === `${base}.weight`;
    const tensor = quantized
      ? readAffine(source, entry, scale, entries.get(`${base}.biases`), group)
      : floatStored({ name, file: source.name, dtype, shape }, bytesOf(source, entry));
    const translated = translate(name);
    if (tensors.has(translated)) throw fault(source.name, name, `is a second '${translated}'`);
    tensors.set(translated, tensor);
  }
  return tensors;
}

function readAffine(
  source: ByteSource,
  weight: SafetensorsEntry,
  scale: SafetensorsEntry,
  bias: SafetensorsEntry | undefined,
  group: number,
): StoredTensor {
  const { name, shape } = weight;
  const [rows = 0, words = 0] = shape;
  const [, groups = 0] = scale.shape;
  const cols = groups * group;
  const bits = (words * 32) / cols;
  if (!GROUPS.includes(group))
    throw fault(source.name, name, `expected groups of 32, 64 or 128, found ${group}`);
  if (weight.dtype !== 'U32' || shape.length !== 2 || (bits !== 4 && bits !== 8))
    throw fault(
      source.name,
      name,
      `expected U32 codes of 4 or 8 bits, found ${weight.dtype} [${shape}] for ${groups} groups of ${group}`,
    );
  for (const entry of [scale, bias])
    if (
      !entry ||
      !['F16', 'BF16', 'F32'].includes(entry.dtype) ||
      entry.dtype !== scale.dtype ||
      entry.shape.length !== 2 ||
      entry.shape[0] !== rows ||
      entry.shape[1] !== groups
    )
      throw fault(
        source.name,
        name,
        `expected scales and biases [${rows}, ${groups}] of one float dtype, found ${entry ? `${entry.dtype} [${entry.shape}]` : 'no biases'}`,
      );
  const format: QuantTensor['format'] = {
    kind: 'quant',
    bits,
    group: group as GroupSize,
    scaleDtype: scale.dtype === 'F16' ? 'f16' : 'f32',
    hasBias: true,
  };
  const dtype = `MLX ${bits} bits`;
  return quantStored(
    { name, file: source.name, dtype, shape: [rows, cols] },
    format,
    { q: bytesOf(source, weight), scale: bytesOf(source, scale), bias: bytesOf(source, bias!) },
    scale.dtype === 'BF16',
  );
}

function bytesOf(source: ByteSource, { begin, end }: SafetensorsEntry): StoredBytes {
  return new StoredBytes(source, begin, end);
}

function fault(file: string, tensor: string, message: string): EdgeError {
  return new EdgeError('INVALID_FILE', `${file}: tensor '${tensor.slice(0, 100)}' ${message}`);
}
