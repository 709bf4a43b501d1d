import type { GateNormCall } from '../../../ops/gate_norm.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';

const THREADS = 128;

export function gate_norm(call: GateNormCall, planner: Planner): Launch[] {
  const { x, z, y, g, mode, ngroups, eps } = call;
  const region = planner.region({ V_G: g });
  return [
    {
      kernel: 'gate_norm',
      settings: {
        flags: {
          NORM: mode !== 'gate',
          GATE_FIRST: mode === 'gate_then_norm',
        },
        constants: {
          WIDTH: y.width / ngroups,
          THREADS,
          ...planner.view('X', x),
          ...planner.view('Z', z),
          ...planner.view('Y', y),
          ...region.offsets,
        },
        floats: { EPS: eps },
      },
      slices: {
        x_in: planner.activation(x),
        z_in: planner.activation(z),
        v: region.slice,
        y_out: planner.activation(y),
      },
      workgroups: ({ rows }) => [ngroups, rows, 1],
    },
  ];
}
