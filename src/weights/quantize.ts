import type { QuantTensor } from '../types.ts';
import { f16ToNumber, numberToF16 } from './half.ts';

export type QuantFormat = QuantTensor['format'];

/** Turns rows of f32 [rows, cols] into codes of `format`. Deterministic; a group never looks beyond itself. */
export type Quantizer = (
  values: Float32Array,
  rows: number,
  cols: number,
  format: QuantFormat,
) => QuantTensor;

/** The format of our own quantizers: groups of 32, f16 scales, no offsets. */
export const Q4: QuantFormat = { kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: false };
export const Q8: QuantFormat = { kind: 'quant', bits: 8, group: 32, scaleDtype: 'f16', hasBias: false };

/**
 * Round to nearest. 4 bits: the entry of largest magnitude becomes −8, sign and all (Q4_0 of ggml);
 * 8 bits: ±127 (Q8_0). The scale is rounded to its own dtype before codes are taken from it.
 * A group with NaN or infinity gets a NaN scale, so that it stays visible.
 */
export const roundToNearest: Quantizer = (values, rows, cols, format) => {
  if (format.hasBias) throw new RangeError('round to nearest makes no offsets');
  const { bits, group, scaleDtype } = format;
  const groups = Math.ceil(cols / group);
  const scale = new (scaleDtype === 'f16' ? Uint16Array : Float32Array)(rows * groups); // [rows, groups]
  const rowBytes = Math.ceil((cols * bits) / 8);
  const q = new Uint8Array(rows * rowBytes); // [rows, rowBytes]
  const quantizeGroup = bits === 4 ? codes4 : codes8;
  for (let r = 0; r < rows; r++)
    for (let g = 0; g < groups; g++) {
      const begin = r * cols + g * group;
      const end = Math.min(begin + group, (r + 1) * cols);
      const stored = roundScale(groupScale(values, begin, end, bits), scaleDtype);
      scale[r * groups + g] = stored.bits;
      const inverse = stored.value === 0 ? 0 : 1 / stored.value;
      quantizeGroup(values, begin, end, inverse, q, r * rowBytes + (g * group * bits) / 8);
    }
  return { format, rows, cols, q, scale, bias: null };
};

function groupScale(values: Float32Array, begin: number, end: number, bits: 4 | 8): number {
  let extreme = 0;
  let magnitude = 0;
  let sum = 0; // NaN or infinite if any value is
  for (let i = begin; i < end; i++) {
    const x = values[i]!;
    const a = Math.abs(x);
    sum += a;
    if (a > magnitude) {
      magnitude = a;
      extreme = x;
    }
  }
  if (!(sum < Number.POSITIVE_INFINITY)) return Number.NaN;
  return bits === 4 ? extreme / -8 : magnitude / 127;
}

const rounded = { bits: 0, value: 0 };

/** The scale as stored (f16 bits or f32) and its value; finite ones stay finite. */
function roundScale(scale: number, dtype: 'f16' | 'f32'): { bits: number; value: number } {
  if (dtype === 'f32') {
    rounded.bits = rounded.value = Math.fround(scale);
    return rounded;
  }
  const finite = scale > 65504 ? 65504 : scale < -65504 ? -65504 : scale === 0 ? 0 : scale;
  rounded.bits = numberToF16(finite);
  rounded.value = f16ToNumber(rounded.bits);
  return rounded;
}

/** Codes x / scale + 8, the lower index in the low nibble. Clamped as floats: far beyond 15, `| 0` would wrap. */
function codes4(
  x: Float32Array,
  begin: number,
  end: number,
  inverse: number,
  q: Uint8Array,
  at: number,
): void {
  let out = at;
  let i = begin;
  for (; i + 1 < end; i += 2) {
    const low = Math.max(0, Math.min(15, x[i]! * inverse + 8.5)) | 0;
    const high = Math.max(0, Math.min(15, x[i + 1]! * inverse + 8.5)) | 0;
    q[out++] = low | (high << 4);
  }
  if (i < end) q[out] = Math.max(0, Math.min(15, x[i]! * inverse + 8.5)) | 0;
}

/** Codes x / scale + 128. */
function codes8(
  x: Float32Array,
  begin: number,
  end: number,
  inverse: number,
  q: Uint8Array,
  at: number,
): void {
  for (let i = begin, out = at; i < end; i++, out++)
    q[out] = Math.max(0, Math.min(255, x[i]! * inverse + 128.5)) | 0;
}
