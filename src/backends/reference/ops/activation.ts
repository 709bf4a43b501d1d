import type { ActivationCall } from '../../../ops/activation.ts';
import { type StepContext, silu } from '../context.ts';

const functions: Record<ActivationCall['kind'], (x: number) => number> = {
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  silu,
  relu2: (x) => (x > 0 ? x * x : 0),
};

export function activation(call: ActivationCall, ctx: StepContext): void {
  const f = functions[call.kind];
  for (let r = 0; r < ctx.rows; r++) {
    const x = ctx.row(call.x, r); // [d]
    const gate = call.gate ? ctx.row(call.gate, r) : null; // [d]
    const y = ctx.row(call.y, r); // [d]
    for (let i = 0; i < y.length; i++) y[i] = gate ? f(gate[i]!) * x[i]! : f(x[i]!);
  }
}

/** erf to double precision: its series for small |x|, the continued fraction of erfc beyond. Abramowitz & Stegun 7.1.5, 7.1.14. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = a;
  for (let n = 120; n >= 1; n--) fraction = a + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * fraction));
}
