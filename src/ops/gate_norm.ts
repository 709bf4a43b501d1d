import type { OpContract, View } from './contract.ts';

/**
 * The gated norm of a Mamba-2 block, normalized over each of `ngroups` equal slices of a row:
 * - norm_then_gate: `rms_norm(x) ⊙ g ⊙ silu(z)`
 * - gate_then_norm: `rms_norm(x ⊙ silu(z)) ⊙ g`
 * - gate: `x ⊙ silu(z)`, no norm
 */
export interface GateNormCall {
  op: 'gate_norm';
  x: View; // [rows, d]
  z: View; // [rows, d]
  g?: string; // weight [d], absent for 'gate'
  y: View; // [rows, d]
  mode: 'norm_then_gate' | 'gate_then_norm' | 'gate';
  ngroups: number;
  eps: number;
}

export const gate_norm: OpContract<GateNormCall> = {
  name: 'gate_norm',
  operands: {
    x: { kind: 'activation', access: 'read', shape: ['rows', 'd'] },
    z: { kind: 'activation', access: 'read', shape: ['rows', 'd'] },
    g: { kind: 'weight', access: 'read', shape: ['d'], optional: true },
    y: { kind: 'activation', access: 'write', shape: ['rows', 'd'] },
  },
  check(call, dim) {
    if ((call.mode === 'gate') !== (call.g === undefined)) return 'g belongs to the modes with a norm';
    return dim.d! % call.ngroups === 0 ? null : `width ${dim.d} is not a multiple of ngroups ${call.ngroups}`;
  },
  tolerance: { exact: 2e-5 },
};
