import type { QuantTensor, Tensor } from '../../types.ts';

/** The values that a tensor stands for, [rows, cols]. */
export function dequantize(tensor: Tensor): Float64Array {
  if ('q' in tensor) return dequantizeGroups(tensor);
  const data = Float64Array.from(tensor.data);
  return tensor.format.dtype === 'f16' ? data.map(f16ToNumber) : data;
}

function dequantizeGroups(tensor: QuantTensor): Float64Array {
  const { rows, cols, q, format } = tensor;
  const groups = Math.ceil(cols / format.group);
  const rowBytes = Math.ceil((cols * format.bits) / 8);
  const read = (values: Float32Array | Uint16Array, i: number) =>
    format.scaleDtype === 'f16' ? f16ToNumber(values[i]!) : values[i]!;
  const out = new Float64Array(rows * cols); // [rows, cols]
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < cols; c++) {
      const g = r * groups + Math.floor(c / format.group);
      const scale = read(tensor.scale, g);
      const bias = tensor.bias ? read(tensor.bias, g) : -(2 ** (format.bits - 1)) * scale;
      const byte = q[r * rowBytes + (format.bits === 8 ? c : c >> 1)]!;
      const code = format.bits === 8 ? byte : c & 1 ? byte >> 4 : byte & 15;
      out[r * cols + c] = scale * code + bias;
    }
  return out;
}

/** The value of IEEE 754 binary16 bits. */
export function f16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
