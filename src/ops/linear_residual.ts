import type { OpContract, View } from './contract.ts';

/** `y = residual + scale · (W · x + b)`; `y` may be the residual itself. */
export interface LinearResidualCall {
  op: 'linear_residual';
  x: View; // [rows, in]
  w: string; // weight [out, in]
  b?: string; // weight [out]
  residual: View; // [rows, out]
  y: View; // [rows, out]
  scale?: number;
}

export const linear_residual: OpContract<LinearResidualCall> = {
  name: 'linear_residual',
  operands: {
    x: { kind: 'activation', access: 'read', shape: ['rows', 'in'] },
    w: { kind: 'weight', access: 'read', shape: ['out', 'in'] },
    b: { kind: 'weight', access: 'read', shape: ['out'], optional: true },
    residual: { kind: 'activation', access: 'read', shape: ['rows', 'out'] },
    y: { kind: 'activation', access: 'write', shape: ['rows', 'out'] },
  },
  check: (call) => (call.x.buffer === call.y.buffer ? 'x and y must be different buffers' : null),
  tolerance: { exact: 2e-5, i16: 5e-4, i8: 3e-2 },
};
