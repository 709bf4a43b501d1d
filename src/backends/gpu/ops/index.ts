import { applyOp, type OpTable } from '../../../ops/index.ts';
import type { Launch } from '../launch.ts';
import type { Plan } from '../plan.ts';
import { activation, gate_norm } from './elementwise.ts';
import { fusedAt } from './fused.ts';
import { embed, linear_residual, logits, norm_linear } from './linear.ts';
import { conv1d, ssd_scan } from './mamba2.ts';
import { rotary } from './rotary.ts';
import { sample } from './sample.ts';
import { window_attention } from './window_attention.ts';

const builders: OpTable<Plan, Launch[]> = {
  embed,
  norm_linear,
  conv1d,
  ssd_scan,
  gate_norm,
  linear_residual,
  activation,
  rotary,
  window_attention,
  logits,
  sample: () => [], // follows `logits` always, for the sake of targets
};

/** The launches of a program, in order, and where those begin that only outputs need. */
export function launchesOf(plan: Plan): { launches: Launch[]; tail: number } {
  const { calls } = plan.program;
  const launches: Launch[] = [];
  let tail = -1;
  let aside = false; // see ./fused.ts
  for (let i = 0; i < calls.length; i++) {
    const call = calls[i]!;
    if (call.op === 'logits') tail = launches.length;
    const fused = fusedAt(plan, i, aside, (one) => applyOp(builders, one, plan));
    if (fused) {
      launches.push(...fused.launches);
      i += fused.calls - 1;
      aside = fused.aside;
    } else launches.push(...applyOp(builders, call, plan));
    if (call.op === 'logits') launches.push(sample(plan));
  }
  return { launches, tail: tail < 0 ? launches.length : tail };
}
