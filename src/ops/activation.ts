import type { OpContract, View } from './contract.ts';

/**
 * The middle of an MLP: `gelu` is the exact one, `x · Φ(x)`; `relu2` is `max(x, 0)²`;
 * with `gate`, the result is `act(gate) ⊙ x` (SwiGLU: `silu`).
 */
export interface ActivationCall {
  op: 'activation';
  x: View; // [rows, d]
  gate?: View; // [rows, d]
  y: View; // [rows, d]
  kind: 'gelu' | 'silu' | 'relu2';
}

export const activation: OpContract<ActivationCall> = {
  name: 'activation',
  operands: {
    x: { kind: 'activation', access: 'read', shape: ['rows', 'd'] },
    gate: { kind: 'activation', access: 'read', shape: ['rows', 'd'], optional: true },
    y: { kind: 'activation', access: 'write', shape: ['rows', 'd'] },
  },
  check: () => null,
  tolerance: { exact: 2e-5 },
};
