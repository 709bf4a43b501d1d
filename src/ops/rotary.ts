import type { OpContract, View } from './contract.ts';

/**
 * Rotary position embedding (arXiv 2104.09864), in place: of each head's first `dims` columns, columns i and
 * i + dims / 2 are turned by `angle = position · 1 / theta^(2i / dims)`, all in f32 as published code has it:
 * `x[i], x[i + dims/2] = x[i] cos − x[i + dims/2] sin, x[i + dims/2] cos + x[i] sin`.
 */
export interface RotaryCall {
  op: 'rotary';
  x: View; // [rows, heads · headDim]
  heads: number;
  dims: number; // even, ≤ headDim
  theta: number;
}

/** Columns of a head that can be turned, at most. */
export const MAX_ROTARY = 256;

export const rotary: OpContract<RotaryCall> = {
  name: 'rotary',
  operands: {
    x: { kind: 'activation', access: 'readwrite', shape: ['rows', 'd'] },
  },
  check({ heads, dims, theta }, dim) {
    if (dim.d! % heads !== 0) return `width ${dim.d} is not a multiple of ${heads} heads`;
    if (!(dims >= 2 && dims % 2 === 0 && dims <= Math.min(MAX_ROTARY, dim.d! / heads)))
      return `dims must be even, and at most the head's ${dim.d! / heads} and ${MAX_ROTARY}, found ${dims}`;
    return theta >= 1 ? null : `theta must be at least 1, found ${theta}`;
  },
  tolerance: { exact: 2e-5 },
};

/**
 * `1 / theta^(2i / dims)` for each pair of columns, rounded where published code rounds: a Python float to the power
 * of an f32 tensor is computed by PyTorch in f32, its base included (1e11 is 99999997952 there).
 */
export function inverseFrequencies({ dims, theta }: RotaryCall): Float32Array {
  return Float32Array.from({ length: dims / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(Math.fround(theta) ** Math.fround((2 * i) / dims))),
  );
}
