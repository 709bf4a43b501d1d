import type { WindowAttentionCall } from '../../../ops/window_attention.ts';
import type { SlotState, StepContext } from '../context.ts';

export function window_attention(call: WindowAttentionCall, ctx: StepContext): void {
  for (const segment of ctx.segments) {
    const state = ctx.state(call.state, segment.slot); // [2, ring, kv]
    const [, ring, kv] = state.shape as [number, number, number];
    for (let t = 0; t < segment.rows; t++) {
      const position = segment.position + t;
      const slot = (position % ring) * kv;
      state.data.set(ctx.row(call.k, segment.first + t), slot);
      state.data.set(ctx.row(call.v, segment.first + t), ring * kv + slot);
      const q = ctx.row(call.q, segment.first + t); // [heads · headDim]
      ctx.row(call.y, segment.first + t).set(attend(call, state, q, position));
    }
  }
}

/** All heads of one row over the keys of positions (position − window, position]. */
function attend(call: WindowAttentionCall, state: SlotState, q: Float64Array, position: number) {
  const [, ring, kv] = state.shape as [number, number, number];
  const headDim = q.length / call.heads;
  const first = Math.max(0, position - call.window + 1);
  const y = new Float64Array(q.length); // [heads · headDim]
  for (let h = 0; h < call.heads; h++) {
    const column = Math.floor((h * call.kvHeads) / call.heads) * headDim;
    const scores: number[] = []; // [position − first + 1]
    for (let p = first; p <= position; p++) {
      let dot = 0;
      for (let i = 0; i < headDim; i++)
        dot += q[h * headDim + i]! * state.data[(p % ring) * kv + column + i]!;
      scores.push(dot * call.scale);
    }
    const max = scores.reduce((a, b) => Math.max(a, b));
    const weights = scores.map((score) => Math.exp(score - max));
    const total = weights.reduce((a, b) => a + b);
    weights.forEach((weight, i) => {
      const value = (ring + ((first + i) % ring)) * kv + column;
      for (let j = 0; j < headDim; j++)
        y[h * headDim + j] = y[h * headDim + j]! + (weight / total) * state.data[value + j]!;
    });
  }
  return y;
}
