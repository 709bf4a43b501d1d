import { inverseFrequencies, type RotaryCall } from '../../../ops/rotary.ts';
import type { Launch } from '../launch.ts';
import type { Plan } from '../plan.ts';

const THREADS = 64;

export function rotary(call: RotaryCall, plan: Plan): Launch[] {
  const { x, heads, dims } = call;
  return [
    {
      entry: 'rotary',
      settings: {
        constants: {
          ...plan.batch,
          HEADS: heads,
          HEAD_DIM: x.width / heads,
          HALF: dims / 2,
          ...plan.view('X', x),
        },
        tables: { INVERSE: [...inverseFrequencies(call)] },
      },
      slices: { batch: { buffer: 'batch' }, x_io: plan.activation(x) },
      workgroups: ({ rows }) => [Math.ceil((heads * dims) / 2 / THREADS), rows, 1],
    },
  ];
}
