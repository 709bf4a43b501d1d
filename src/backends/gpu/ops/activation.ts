import type { ActivationCall } from '../../../ops/activation.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';

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
