import type { ActivationCall } from '../../../ops/activation.ts';
import type { GateNormCall } from '../../../ops/gate_norm.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';

const NORM_THREADS = 128;

export function activation(call: ActivationCall, planner: Planner): Launch[] {
  const { x, gate, y, kind } = call;
  return [
    {
      kernel: 'activation',
      settings: {
        flags: {
          GATED: Boolean(gate),
          GELU: kind === 'gelu',
          SILU: kind === 'silu',
          RELU2: kind === 'relu2',
        },
        constants: {
          WIDTH: y.width,
          ...planner.view('X', x),
          ...(gate && planner.view('GATE', gate)),
          ...planner.view('Y', y),
        },
      },
      slices: {
        x_in: planner.activation(x),
        ...(gate && { gate_in: planner.activation(gate) }),
        y_out: planner.activation(y),
      },
      workgroups: ({ rows }) => [Math.ceil(y.width / 64), rows, 1],
    },
  ];
}

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
          THREADS: NORM_THREADS,
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
