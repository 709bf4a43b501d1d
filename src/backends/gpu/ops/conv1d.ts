import type { Conv1dCall } from '../../../ops/conv1d.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';

export function conv1d(call: Conv1dCall, planner: Planner): Launch[] {
  const { x, y, weight, bias, state, activation } = call;
  const { channels, k } = planner.dims(call) as { channels: number; k: number };
  const region = planner.region({ V_WEIGHT: weight, V_BIAS: bias });
  const constants = { ...planner.batch, CHANNELS: channels, K: k, ...planner.view('X', x) };
  const batch = { buffer: 'batch' };
  const groups = Math.ceil(channels / 256);
  return [
    {
      kernel: 'conv1d',
      settings: {
        flags: { HAS_BIAS: bias !== undefined, SILU: activation === 'silu' },
        constants: { ...constants, ...planner.view('Y', y), ...region.offsets },
      },
      slices: {
        batch,
        x_in: planner.activation(x),
        ring: planner.state(state),
        v: region.slice,
        y_out: planner.activation(y),
      },
      workgroups: ({ rows }) => [groups, rows, 1],
    },
    {
      kernel: 'conv1d',
      settings: { flags: { RING: true }, constants },
      slices: { batch, x_in: planner.activation(x), ring: planner.state(state) },
      workgroups: ({ segments }) => [groups, segments * k, 1],
    },
  ];
}
