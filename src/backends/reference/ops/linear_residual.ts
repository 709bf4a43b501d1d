import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import { matvec, type StepContext } from '../context.ts';

export function linear_residual(call: LinearResidualCall, ctx: StepContext): void {
  for (let r = 0; r < ctx.rows; r++) {
    const residual = ctx.row(call.residual, r); // [out]
    const update = matvec(ctx, call.w, call.b, ctx.row(call.x, r), call.scale ?? 1); // [out]
    const y = ctx.row(call.y, r); // [out], may be the residual itself
    for (let o = 0; o < y.length; o++) y[o] = residual[o]! + update[o]!;
  }
}
