import type { SsdScanCall } from '../../../ops/ssd_scan.ts';
import type { StepContext } from '../context.ts';

export function ssd_scan(call: SsdScanCall, ctx: StepContext): void {
  for (const segment of ctx.segments)
    for (let t = 0; t < segment.rows; t++) updateRow(call, ctx, segment.slot, segment.first + t);
}

/** One token: every head's state decays, takes in its input, and is read out. */
function updateRow(call: SsdScanCall, ctx: StepContext, slot: number, row: number): void {
  const { shape, data: H } = ctx.state(call.state, slot); // [nheads, headdim, d_state]
  const [nheads, headdim, d_state] = shape as [number, number, number];
  const [dtBias, A, D] = [call.dtBias, call.A, call.D].map((name) => ctx.weight(name).data) as [
    Float64Array, // [nheads]
    Float64Array, // [nheads]
    Float64Array, // [nheads] or [nheads · headdim]
  ];
  const [x, B, C, rawDt] = [call.x, call.B, call.C, call.dt].map((view) => ctx.row(view, row)) as [
    Float64Array, // [nheads · headdim]
    Float64Array, // [ngroups · d_state]
    Float64Array, // [ngroups · d_state]
    Float64Array, // [nheads]
  ];
  const y = new Float64Array(nheads * headdim); // [nheads · headdim]
  for (let h = 0; h < nheads; h++) {
    const dt = Math.min(Math.max(softplus(rawDt[h]! + dtBias[h]!), call.dtMin), call.dtMax);
    const decay = Math.exp(dt * A[h]!);
    const group = Math.floor((h * call.ngroups) / nheads) * d_state;
    for (let p = 0; p < headdim; p++) {
      const hp = h * headdim + p;
      const skip = D.length === nheads ? D[h]! : D[hp]!;
      let sum = skip * x[hp]!;
      for (let n = 0; n < d_state; n++) {
        const i = hp * d_state + n;
        H[i] = decay * H[i]! + dt * x[hp]! * B[group + n]!;
        sum += C[group + n]! * H[i]!;
      }
      y[hp] = sum;
    }
  }
  ctx.row(call.y, row).set(y);
}

function softplus(x: number): number {
  return x > 20 ? x : Math.log1p(Math.exp(x));
}
