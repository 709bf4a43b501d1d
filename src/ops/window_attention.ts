import type { OpContract, View } from './contract.ts';

/**
 * Causal attention of every row over the last `window` keys, its own included (MQA/GQA: query head h reads
 * key-value head ⌊h · kvHeads / heads⌋). The key and value of position p are first written to ring row
 * `p mod ring`; `ring ≥ window + chunk − 1`, so that a chunk overwrites nothing that one of its rows still needs.
 * No positional encoding.
 */
export interface WindowAttentionCall {
  op: 'window_attention';
  q: View; // [rows, heads · headDim]
  k: View; // [rows, kvHeads · headDim]
  v: View; // [rows, kvHeads · headDim]
  state: string; // state [2, ring, kvHeads · headDim]: keys, values
  y: View; // [rows, heads · headDim]
  heads: number;
  kvHeads: number;
  window: number;
  scale: number; // of q·k, usually 1/√headDim
}

export const window_attention: OpContract<WindowAttentionCall> = {
  name: 'window_attention',
  operands: {
    q: { kind: 'activation', access: 'read', shape: ['rows', 'q'] },
    k: { kind: 'activation', access: 'read', shape: ['rows', 'kv'] },
    v: { kind: 'activation', access: 'read', shape: ['rows', 'kv'] },
    state: { kind: 'state', access: 'readwrite', shape: ['two', 'ring', 'kv'] },
    y: { kind: 'activation', access: 'write', shape: ['rows', 'q'] },
  },
  check(call, dim) {
    if (call.heads % call.kvHeads !== 0)
      return `heads ${call.heads} is not a multiple of kvHeads ${call.kvHeads}`;
    if (dim.q! * call.kvHeads !== dim.kv! * call.heads) return 'q and k disagree on the head dimension';
    if (dim.two !== 2) return 'the state holds keys and values';
    return call.window >= 1 && dim.ring! >= call.window ? null : `ring ${dim.ring} < window ${call.window}`;
  },
  tolerance: { exact: 2e-5 },
};
