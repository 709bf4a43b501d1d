import type { ActivationCall } from '../../../ops/activation.ts';
import type { GateNormCall } from '../../../ops/gate_norm.ts';
import type { Launch } from '../launch.ts';
import type { Plan } from '../plan.ts';

const NORM_THREADS = 128;

export function activation(call: ActivationCall, plan: Plan): Launch[] {
  const { x, gate, y, kind } = call;
  return [
    {
      entry: 'activation',
      settings: {
        flags: {
          GATED: Boolean(gate),
          GELU: kind === 'gelu',
          SILU: kind === 'silu',
          RELU2: kind === 'relu2',
        },
        constants: {
          WIDTH: y.width,
          ...plan.view('X', x),
          ...(gate && plan.view('GATE', gate)),
          ...plan.view('Y', y),
        },
      },
      slices: {
        x_in: plan.activation(x),
        ...(gate && { gate_in: plan.activation(gate) }),
        y_out: plan.activation(y),
      },
      workgroups: ({ rows }) => [Math.ceil(y.width / 64), rows, 1],
    },
  ];
}

export function gate_norm(call: GateNormCall, plan: Plan): Launch[] {
  const { x, z, y, g, mode, ngroups, eps } = call;
  const region = plan.region({ V_G: g });
  return [
    {
      entry: 'gate_norm',
      settings: {
        flags: {
          NORM: mode !== 'gate',
          GATE_FIRST: mode === 'gate_then_norm',
        },
        constants: {
          WIDTH: y.width / ngroups,
          THREADS: NORM_THREADS,
          ...plan.view('X', x),
          ...plan.view('Z', z),
          ...plan.view('Y', y),
          ...region.offsets,
        },
        floats: { EPS: eps },
      },
      slices: {
        x_in: plan.activation(x),
        z_in: plan.activation(z),
        v: region.slice,
        y_out: plan.activation(y),
      },
      workgroups: ({ rows }) => [ngroups, rows, 1],
    },
  ];
}
