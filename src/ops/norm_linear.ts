import type { OpContract, View } from './contract.ts';

/**
 * The pre-norm fused into its projection: `y = scale · (W · (rms_norm(x) ⊙ g) + b)`,
 * `rms_norm(x) = x / sqrt(mean(x²) + eps)`. Without `g` there is no norm: a plain linear.
 */
export interface NormLinearCall {
  op: 'norm_linear';
  x: View; // [rows, in]
  g?: string; // weight [in]
  w: string; // weight [out, in]
  b?: string; // weight [out]
  y: View; // [rows, out]
  eps: number;
  scale?: number;
}

export const norm_linear: OpContract<NormLinearCall> = {
  name: 'norm_linear',
  operands: {
    x: { kind: 'activation', access: 'read', shape: ['rows', 'in'] },
    g: { kind: 'weight', access: 'read', shape: ['in'], optional: true },
    w: { kind: 'weight', access: 'read', shape: ['out', 'in'] },
    b: { kind: 'weight', access: 'read', shape: ['out'], optional: true },
    y: { kind: 'activation', access: 'write', shape: ['rows', 'out'] },
  },
  check: (call) => (call.eps > 0 ? null : `eps must be positive, found ${call.eps}`),
  tolerance: { exact: 2e-5, i16: 5e-4, i8: 3e-2 },
};
