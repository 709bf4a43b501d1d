import type { QuantTensor, Tensor } from '../types.ts';
import { f16ToF32 } from './half.ts';

/**
 * The f32 values of rows, [rows, cols]: exact for floats, `fround(scale · q + bias)` for codes.
 * Values of f16 go into `scratch` if one that is large enough is given.
 */
export function toF32(tensor: Tensor, scratch?: Float32Array): Float32Array {
  if ('q' in tensor) return dequantize(tensor);
  const { data } = tensor;
  if (data instanceof Float32Array) return data;
  const fits = scratch && scratch.length >= data.length;
  return fits ? f16ToF32(data, scratch.subarray(0, data.length)) : f16ToF32(data);
}

function dequantize({ rows, cols, q, scale, bias, format }: QuantTensor): Float32Array {
  const { bits, group } = format;
  const groups = Math.ceil(cols / group);
  const rowBytes = Math.ceil((cols * bits) / 8);
  const scales = scale instanceof Float32Array ? scale : f16ToF32(scale);
  const biases = bias === null || bias instanceof Float32Array ? bias : f16ToF32(bias);
  const out = new Float32Array(rows * cols); // [rows, cols]
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < cols; c++) {
      const g = r * groups + Math.floor(c / group);
      const byte = q[r * rowBytes + (bits === 8 ? c : c >> 1)]!;
      const code = bits === 8 ? byte : c & 1 ? byte >> 4 : byte & 15;
      out[r * cols + c] = biases
        ? scales[g]! * code + biases[g]!
        : scales[g]! * (code - (bits === 8 ? 128 : 8));
    }
  return out;
}
