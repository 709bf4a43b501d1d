import { EdgeError } from '../errors.ts';
import type { GroupSize, QuantTensor } from '../types.ts';
import { type ByteRange, quantStored, rawBytes } from './stored.ts';
import type { StoredTensor } from './types.ts';

/*
 * A matrix that MLX quantized: X.weight is U32 [rows, cols · bits / 32], the codes of a row one after another from the
 * lowest bits on, beside X.scales and X.biases [rows, cols / group]: w = scale · q + bias. That is the canonical form
 * for 4 and 8 bits; codes of 2 and 3 bits become 4, those of 5 and 6 become 8, their values unchanged.
 */

const GROUPS: readonly number[] = [32, 64, 128];
const WIDTHS: readonly number[] = [2, 3, 4, 5, 6, 8];

/** How a module is quantized; the bits follow from shapes where they are not given. */
export interface MlxScheme {
  group: number;
  bits?: number;
}

/** Tensors with those that belong together as one matrix; `schemeOf` is asked by the module's name. @throws INVALID_FILE */
export function joinMlx(
  tensors: ReadonlyMap<string, StoredTensor>,
  schemeOf: (module: string) => MlxScheme,
): Map<string, StoredTensor> {
  const joined = new Map<string, StoredTensor>();
  for (const [name, tensor] of tensors) {
    const [, module, kind] = /^(.+)\.(weight|scales|biases)$/.exec(name) ?? [];
    const part = (kind: string) => tensors.get(`${module}.${kind}`);
    const scales = part('scales');
    if (kind === 'biases' && scales) continue;
    if (kind === 'scales') {
      if (!part('weight')) throw fault(tensor, `has no '${module}.weight' beside it`);
      continue;
    }
    if (kind === 'weight' && !scales && tensor.dtype === 'U32')
      throw fault(tensor, `has no '${module}.scales' beside it`);
    const whole = kind === 'weight' && scales;
    joined.set(name, whole ? mlxMatrix(tensor, scales, part('biases'), schemeOf(module!)) : tensor);
  }
  return joined;
}

function mlxMatrix(
  weight: StoredTensor,
  scales: StoredTensor,
  biases: StoredTensor | undefined,
  { group, bits: expected }: MlxScheme,
): StoredTensor {
  const { name, file, dtype, shape } = weight;
  const [rows = 0, words = 0] = shape;
  const groups = scales.shape[1] ?? 0;
  const cols = groups * group;
  const bits = (words * 32) / cols;
  const codes = rawBytes(weight);
  if (!GROUPS.includes(group)) throw fault(weight, `expected groups of 32, 64 or 128, found ${group}`);
  if (
    !codes ||
    dtype !== 'U32' ||
    shape.length !== 2 ||
    !WIDTHS.includes(bits) ||
    bits !== (expected ?? bits)
  )
    throw fault(
      weight,
      `expected U32 codes of ${expected ?? '2 to 6 or 8'} bits, found ${dtype} [${shape}] for ${groups} groups of ${group}`,
    );
  for (const part of [scales, biases])
    if (
      !part ||
      !['F16', 'BF16', 'F32'].includes(part.dtype) ||
      part.dtype !== scales.dtype ||
      part.shape.length !== 2 ||
      part.shape[0] !== rows ||
      part.shape[1] !== groups
    )
      throw fault(
        weight,
        `expected scales and biases [${rows}, ${groups}] of one float dtype, found ${part ? `${part.dtype} [${part.shape}]` : 'no biases'}`,
      );
  const wide = bits <= 4 ? 4 : 8;
  const format: QuantTensor['format'] = {
    kind: 'quant',
    bits: wide,
    group: group as GroupSize,
    scaleDtype: scales.dtype === 'F16' ? 'f16' : 'f32',
    hasBias: true,
  };
  return quantStored(
    { name, file, dtype: `MLX ${bits} bits`, shape: [rows, cols] },
    format,
    {
      q: bits === wide ? codes : widened(codes, bits, wide),
      scale: rawBytes(scales)!,
      bias: rawBytes(biases!)!,
    },
    scales.dtype === 'BF16',
  );
}

/** Codes of `bits` as codes of `wide` bits. What is read of them begins and ends with whole bytes of both. */
function widened(codes: ByteRange, bits: number, wide: 4 | 8): ByteRange {
  return {
    size: codes.size,
    fills: false,
    digest: (signal) => codes.digest(signal),
    async read(offset, length, signal) {
      const narrow = await codes.read((offset * bits) / wide, (length * bits) / wide, signal);
      const out = new Uint8Array(length);
      const count = (length * 8) / wide;
      const mask = 2 ** bits - 1;
      for (let i = 0, bit = 0; i < count; i++, bit += bits) {
        const byte = bit >> 3;
        const pair = narrow[byte]! | ((narrow[byte + 1] ?? 0) << 8);
        const code = (pair >> (bit & 7)) & mask;
        if (wide === 8) out[i] = code;
        else out[i >> 1]! |= code << (4 * (i & 1));
      }
      return out;
    },
  };
}

function fault({ file, name }: StoredTensor, message: string): EdgeError {
  return new EdgeError('INVALID_FILE', `${file}: tensor '${name.slice(0, 100)}' ${message}`);
}
