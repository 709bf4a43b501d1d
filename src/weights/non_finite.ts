import type { Tensor } from '../types.ts';

/** Is one of a tensor's values, or of its scales and biases, NaN or infinite? */
export function holdsNonFinite(tensor: Tensor): boolean {
  const numbers = 'q' in tensor ? [tensor.scale, tensor.bias] : [tensor.data];
  return numbers.some((array) => array !== null && hasNonFinite(array));
}

/** f32 values, or f16 bits: those that are not finite have an exponent of all ones. */
function hasNonFinite(values: Uint16Array | Float32Array): boolean {
  if (values instanceof Float32Array) {
    for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) return true;
    return false;
  }
  for (let i = 0; i < values.length; i++) if ((values[i]! & 0x7c00) === 0x7c00) return true;
  return false;
}
