import type { WindowAttentionCall } from '../../../ops/window_attention.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';

const THREADS = 64;

export function window_attention(call: WindowAttentionCall, planner: Planner): Launch[] {
  const { q, k, v, y, state, heads, kvHeads, window, scale } = call;
  const { kv, ring } = planner.dims(call) as { kv: number; ring: number };
  const constants = { ...planner.batch, THREADS, KV: kv, RING_ROWS: ring };
  const batch = { buffer: 'batch' };
  return [
    {
      kernel: 'window_attention',
      settings: {
        flags: { RING: true },
        constants: { ...constants, ...planner.view('K', k), ...planner.view('V', v) },
      },
      slices: { batch, k_in: planner.activation(k), v_in: planner.activation(v), ring: planner.state(state) },
      workgroups: ({ rows }) => [Math.ceil(kv / THREADS), rows, 1],
    },
    {
      kernel: 'window_attention',
      settings: {
        constants: {
          ...constants,
          HEADS: heads,
          KV_HEADS: kvHeads,
          HEAD_DIM: q.width / heads,
          DIMS: Math.ceil(q.width / heads / THREADS),
          WINDOW: window,
          ...planner.view('Q', q),
          ...planner.view('Y', y),
        },
        floats: { SCALE: scale },
      },
      slices: {
        batch,
        q_in: planner.activation(q),
        ring: planner.state(state),
        y_out: planner.activation(y),
      },
      workgroups: ({ rows }) => [heads, rows, 1],
    },
  ];
}
