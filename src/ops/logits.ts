import type { OpContract, View } from './contract.ts';

/** The final norm and the head, only for the rows that an output asks for: `y = scale · W · (rms_norm(x) ⊙ g) + b`. */
export interface LogitsCall {
  op: 'logits';
  x: View; // [rows, d]
  g: string; // weight [d]
  w: string; // weight [vocab, d]
  b?: string; // weight [vocab]
  eps: number;
  scale?: number;
}

export const logits: OpContract<LogitsCall> = {
  name: 'logits',
  operands: {
    x: { kind: 'activation', access: 'read', shape: ['rows', 'd'] },
    g: { kind: 'weight', access: 'read', shape: ['d'] },
    w: { kind: 'weight', access: 'read', shape: ['vocab', 'd'] },
    b: { kind: 'weight', access: 'read', shape: ['vocab'], optional: true },
  },
  check: (call) => (call.eps > 0 ? null : `eps must be positive, found ${call.eps}`),
  tolerance: { exact: 2e-5, i16: 5e-4, i8: 3e-2 },
};
