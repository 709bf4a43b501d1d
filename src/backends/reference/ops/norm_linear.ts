import type { NormLinearCall } from '../../../ops/norm_linear.ts';
import { matvec, rmsNorm, type StepContext } from '../context.ts';

export function norm_linear(call: NormLinearCall, ctx: StepContext): void {
  for (let r = 0; r < ctx.rows; r++) {
    const x = ctx.row(call.x, r); // [in]
    const normed = call.g === undefined ? x : rmsNorm(x, ctx.weight(call.g).data, call.eps); // [in]
    ctx.row(call.y, r).set(matvec(ctx, call.w, call.b, normed, call.scale ?? 1)); // [out]
  }
}
