import type { OpContract, View } from './contract.ts';

/**
 * Causal depthwise convolution over the rows of a segment, continued from the slot's ring of the last k inputs:
 * `y[t, c] = act(bias[c] + Σ_j weight[c, j] · x[t − (k−1) + j, c])`.
 * The input at position p lives in ring row `p mod k`; rows before position 0 are zero.
 */
export interface Conv1dCall {
  op: 'conv1d';
  x: View; // [rows, channels]
  weight: string; // weight [channels, k]
  bias?: string; // weight [channels]
  state: string; // state [k, channels]
  y: View; // [rows, channels]
  activation: 'none' | 'silu';
}

export const conv1d: OpContract<Conv1dCall> = {
  name: 'conv1d',
  operands: {
    x: { kind: 'activation', access: 'read', shape: ['rows', 'channels'] },
    weight: { kind: 'weight', access: 'read', shape: ['channels', 'k'] },
    bias: { kind: 'weight', access: 'read', shape: ['channels'], optional: true },
    state: { kind: 'state', access: 'readwrite', shape: ['k', 'channels'] },
    y: { kind: 'activation', access: 'write', shape: ['rows', 'channels'] },
  },
  check: (_call, dim) => (dim.k! >= 1 && dim.k! <= 8 ? null : `kernel size must be 1 to 8, found ${dim.k}`),
  tolerance: { exact: 2e-5 },
};
