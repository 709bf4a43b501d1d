import type { OpContract, View } from './contract.ts';

/** `y = scale · table[id]` for the id of each row. */
export interface EmbedCall {
  op: 'embed';
  table: string; // weight [vocab, d]
  y: View; // [rows, d]
  scale?: number;
}

export const embed: OpContract<EmbedCall> = {
  name: 'embed',
  operands: {
    table: { kind: 'weight', access: 'read', shape: ['vocab', 'd'] },
    y: { kind: 'activation', access: 'write', shape: ['rows', 'd'] },
  },
  check: () => null,
  tolerance: { exact: 2e-5 },
};
