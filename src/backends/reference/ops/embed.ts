import type { EmbedCall } from '../../../ops/embed.ts';
import type { StepContext } from '../context.ts';

export function embed(call: EmbedCall, ctx: StepContext): void {
  const { data } = ctx.weight(call.table); // [vocab, d]
  const scale = call.scale ?? 1;
  for (let r = 0; r < ctx.rows; r++) {
    const y = ctx.row(call.y, r); // [d]
    const d = y.length;
    for (let i = 0; i < d; i++) y[i] = scale * data[ctx.ids[r]! * d + i]!;
  }
}
