import type { LogitsCall } from '../../../ops/logits.ts';
import { matvec, rmsNorm, type StepContext } from '../context.ts';

export function logits(call: LogitsCall, ctx: StepContext): void {
  const g = ctx.weight(call.g).data; // [d]
  ctx.outputs.forEach((output, i) => {
    if (!ctx.logits.has(output.row)) {
      const normed = rmsNorm(ctx.row(call.x, output.row), g, call.eps); // [d]
      const row = matvec(ctx, call.w, call.b, normed, call.scale ?? 1); // [vocab]
      ctx.logits.set(output.row, Float32Array.from(row)); // backends hand over f32, and sample from it
    }
    const row = ctx.logits.get(output.row)!; // [vocab]
    if (output.logits) ctx.results[i]!.logits = row.slice();
    if (output.target !== undefined) ctx.results[i]!.target = row[output.target]! - logSumExp(row);
  });
}

/** `log Σ exp(x)`. */
export function logSumExp(x: Float32Array): number {
  const max = x.reduce((a, b) => Math.max(a, b));
  return max + Math.log(x.reduce((sum, value) => sum + Math.exp(value - max), 0));
}
