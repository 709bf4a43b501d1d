import { inverseFrequencies, type RotaryCall } from '../../../ops/rotary.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';

const THREADS = 64;

export function rotary(call: RotaryCall, planner: Planner): Launch[] {
  const { x, heads, dims } = call;
  return [
    {
      kernel: 'rotary',
      settings: {
        constants: {
          ...planner.batch,
          HEADS: heads,
          HEAD_DIM: x.width / heads,
          HALF: dims / 2,
          ...planner.view('X', x),
        },
        tables: { INVERSE: [...inverseFrequencies(call)] },
      },
      slices: { batch: { buffer: 'batch' }, x_io: planner.activation(x) },
      workgroups: ({ rows }) => [Math.ceil((heads * dims) / 2 / THREADS), rows, 1],
    },
  ];
}
