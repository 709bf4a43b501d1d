import type { GateNormCall } from '../../../ops/gate_norm.ts';
import { rmsNorm, type StepContext, silu } from '../context.ts';

export function gate_norm(call: GateNormCall, ctx: StepContext): void {
  const g = call.g === undefined ? null : ctx.weight(call.g).data; // [d]
  for (let r = 0; r < ctx.rows; r++) {
    const gate = ctx.row(call.z, r).map(silu); // [d]
    let y: Float64Array = ctx.row(call.x, r).slice(); // [d]
    if (call.mode !== 'norm_then_gate') y = y.map((value, i) => value * gate[i]!);
    if (g) y = normByGroup(y, g, call.ngroups, call.eps);
    if (call.mode === 'norm_then_gate') y = y.map((value, i) => value * gate[i]!);
    ctx.row(call.y, r).set(y);
  }
}

function normByGroup(x: Float64Array, g: Float64Array, ngroups: number, eps: number): Float64Array {
  const width = x.length / ngroups;
  const y = new Float64Array(x.length); // [d]
  for (let begin = 0; begin < x.length; begin += width)
    y.set(rmsNorm(x.subarray(begin, begin + width), g.subarray(begin, begin + width), eps), begin);
  return y;
}
