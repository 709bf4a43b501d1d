import type { WindowAttentionCall } from '../../../ops/window_attention.ts';
import type { Launch } from '../launch.ts';
import type { Plan } from '../plan.ts';

const THREADS = 64;

export function window_attention(call: WindowAttentionCall, plan: Plan): Launch[] {
  const { q, k, v, y, state, heads, kvHeads, window, scale } = call;
  const { kv, ring } = plan.dims(call) as { kv: number; ring: number };
  const constants = { ...plan.batch, THREADS, KV: kv, RING_ROWS: ring };
  const batch = { buffer: 'batch' };
  return [
    {
      entry: 'window_attention',
      settings: {
        flags: { RING: true },
        constants: { ...constants, ...plan.view('K', k), ...plan.view('V', v) },
      },
      slices: { batch, k_in: plan.activation(k), v_in: plan.activation(v), ring: plan.state(state) },
      workgroups: ({ rows }) => [Math.ceil(kv / THREADS), rows, 1],
    },
    {
      entry: 'window_attention',
      settings: {
        constants: {
          ...constants,
          HEADS: heads,
          KV_HEADS: kvHeads,
          HEAD_DIM: q.width / heads,
          DIMS: Math.ceil(q.width / heads / THREADS),
          WINDOW: window,
          ...plan.view('Q', q),
          ...plan.view('Y', y),
        },
        floats: { SCALE: scale },
      },
      slices: { batch, q_in: plan.activation(q), ring: plan.state(state), y_out: plan.activation(y) },
      workgroups: ({ rows }) => [heads, rows, 1],
    },
  ];
}
