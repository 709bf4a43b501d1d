import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import type { GroupSize, JsonObject, JsonValue, QuantTensor } from '../types.ts';
import { isObject, parseJsonObject, stringifyJson } from './json.ts';
import type { SafetensorsEntry, SafetensorsHeader } from './safetensors.ts';
import { floatStored, quantStored, StoredBytes } from './stored.ts';
import type { StoredTensor } from './types.ts';

/*
 * Our own container is a safetensors file that any reader opens. Its metadata says what the tensors cannot:
 *   edge_ssm.version       '1'
 *   edge_ssm.config        config.json
 *   edge_ssm.quantization  {"tensors": {"X.weight": {"bits": 4, "group": 32, "cols": 768}, …}}
 * A quantized X.weight is U8 [rows, ceil(cols · bits / 8)] beside X.scales, F16 or F32 [rows, groups], and X.biases
 * where it has offsets: the canonical form of docs/adr/0002 as it is.
 */

export const VERSION = '1';
const GROUPS: readonly JsonValue[] = [16, 32, 64, 128];

export interface QuantEntry {
  bits: 4 | 8;
  group: GroupSize;
  cols: number;
}

/** Metadata of a container. */
export function containerMetadata(
  config: JsonObject,
  quantized: ReadonlyMap<string, QuantEntry>,
): Record<string, string> {
  const tensors: JsonObject = {};
  for (const [name, { bits, group, cols }] of quantized) tensors[name] = { bits, group, cols };
  return {
    format: 'pt',
    'edge_ssm.version': VERSION,
    'edge_ssm.config': stringifyJson(config),
    'edge_ssm.quantization': stringifyJson({ tensors }),
  };
}

/** Names of a quantized weight's scales and biases. */
export function siblings(name: string): { scales: string; biases: string } {
  const base = name.endsWith('.weight') ? name.slice(0, -'.weight'.length) : name;
  return { scales: `${base}.scales`, biases: `${base}.biases` };
}

/** The config that a container carries, or null. @throws UNSUPPORTED_MODEL for a later version */
export function containerConfig(file: string, { metadata }: SafetensorsHeader): JsonObject | null {
  const version = metadata['edge_ssm.version'];
  if (version !== undefined && version !== VERSION)
    throw new EdgeError(
      'UNSUPPORTED_MODEL',
      `${file}: version '${version.slice(0, 20)}' of the edge-ssm container; this library reads '${VERSION}': update it`,
    );
  const text = metadata['edge_ssm.config'];
  return text === undefined ? null : parseJsonObject(`${file}, edge_ssm.config`, text);
}

/** The tensors of a safetensors file, quantized ones with their logical shape and without their siblings. */
export function storedTensors(source: ByteSource, header: SafetensorsHeader): Map<string, StoredTensor> {
  const { entries } = header;
  const quantized = readQuantization(source.name, header);
  const hidden = new Set<string>();
  const tensors = new Map<string, StoredTensor>();
  for (const [name, quant] of quantized) {
    const { scales, biases } = siblings(name);
    const [weight, scale, bias] = [entries.get(name), entries.get(scales), entries.get(biases)];
    if (!weight || !scale) throw fault(source.name, name, `expected both it and '${scales}' in the file`);
    for (const hide of [scales, biases]) hidden.add(hide);
    tensors.set(name, readQuantized(source, weight, scale, bias, quant));
  }
  for (const [name, entry] of entries) {
    if (quantized.has(name) || hidden.has(name)) continue;
    const { dtype, shape } = entry;
    tensors.set(name, floatStored({ name, file: source.name, dtype, shape }, bytesOf(source, entry)));
  }
  return tensors;
}

function readQuantized(
  source: ByteSource,
  weight: SafetensorsEntry,
  scale: SafetensorsEntry,
  bias: SafetensorsEntry | undefined,
  { bits, group, cols }: QuantEntry,
): StoredTensor {
  const { name, shape } = weight;
  const rows = shape[0] ?? 0;
  const expect = (entry: SafetensorsEntry, dtypes: readonly string[], width: number) => {
    const fits = entry.shape.length === 2 && entry.shape[0] === rows && entry.shape[1] === width;
    if (!fits || !dtypes.includes(entry.dtype))
      throw fault(
        source.name,
        entry.name,
        `expected ${dtypes.join(' or ')} [${rows}, ${width}], found ${entry.dtype} [${entry.shape}]`,
      );
  };
  const groups = Math.ceil(cols / group);
  expect(weight, ['U8'], Math.ceil((cols * bits) / 8));
  expect(scale, ['F16', 'F32'], groups);
  if (bias) expect(bias, [scale.dtype], groups);
  const format: QuantTensor['format'] = {
    kind: 'quant',
    bits,
    group,
    scaleDtype: scale.dtype === 'F16' ? 'f16' : 'f32',
    hasBias: bias !== undefined,
  };
  return quantStored({ name, file: source.name, dtype: `Q${bits}`, shape: [rows, cols] }, format, {
    q: bytesOf(source, weight),
    scale: bytesOf(source, scale),
    bias: bias ? bytesOf(source, bias) : null,
  });
}

function readQuantization(file: string, { metadata, entries }: SafetensorsHeader): Map<string, QuantEntry> {
  const quantized = new Map<string, QuantEntry>();
  if (metadata['edge_ssm.version'] === undefined) return quantized;
  const text = metadata['edge_ssm.quantization'] ?? '{}';
  const { tensors = {} } = parseJsonObject(`${file}, edge_ssm.quantization`, text);
  if (!isObject(tensors))
    throw new EdgeError('INVALID_FILE', `${file}: expected edge_ssm.quantization to hold 'tensors' by name`);
  for (const [name, value] of Object.entries(tensors)) {
    const { bits, group, cols }: JsonObject = isObject(value) ? value : {};
    const known = (bits === 4 || bits === 8) && GROUPS.includes(group!);
    if (!known || typeof cols !== 'number' || !Number.isSafeInteger(cols) || cols < 1)
      throw fault(
        file,
        name,
        'expected bits 4 or 8, group 16, 32, 64 or 128, and cols in edge_ssm.quantization',
      );
    quantized.set(name, { bits, group: group as GroupSize, cols });
  }
  for (const [name, { dtype }] of entries)
    if (dtype === 'U8' && entries.has(siblings(name).scales) && !quantized.has(name))
      throw fault(file, name, 'has scales, but edge_ssm.quantization does not say how it is quantized');
  return quantized;
}

function bytesOf(source: ByteSource, { begin, end }: SafetensorsEntry): StoredBytes {
  return new StoredBytes(source, begin, end);
}

function fault(file: string, tensor: string, message: string): EdgeError {
  return new EdgeError('INVALID_FILE', `${file}: tensor '${tensor.slice(0, 100)}': ${message}`);
}
