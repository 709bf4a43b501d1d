import type { Conv1dCall } from '../../../ops/conv1d.ts';
import { type StepContext, silu } from '../context.ts';

export function conv1d(call: Conv1dCall, ctx: StepContext): void {
  const weight = ctx.weight(call.weight); // [channels, k]
  const bias = call.bias === undefined ? null : ctx.weight(call.bias).data; // [channels]
  const [channels, k] = weight.shape as [number, number];
  for (const segment of ctx.segments) {
    const ring = ctx.state(call.state, segment.slot).data; // [k, channels]
    for (let t = 0; t < segment.rows; t++) {
      const position = segment.position + t;
      const y = ctx.row(call.y, segment.first + t); // [channels]
      ring.set(ctx.row(call.x, segment.first + t), (position % k) * channels);
      for (let c = 0; c < channels; c++) {
        let sum = bias ? bias[c]! : 0;
        for (let j = 0; j < k; j++) {
          const p = position - (k - 1) + j;
          if (p >= 0) sum += weight.data[c * k + j]! * ring[(p % k) * channels + c]!;
        }
        y[c] = call.activation === 'silu' ? silu(sum) : sum;
      }
    }
  }
}
