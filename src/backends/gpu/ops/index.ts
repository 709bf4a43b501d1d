import { applyOp, type OpTable } from '../../../ops/index.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';
import { activation, gate_norm } from './elementwise.ts';
import { fusedAt } from './fused.ts';
import { embed, linear_residual, logits, norm_linear } from './linear.ts';
import { conv1d, ssd_scan } from './mamba2.ts';
import { rotary } from './rotary.ts';
import { sample } from './sample.ts';
import { window_attention } from './window_attention.ts';

const builders: OpTable<Planner, Launch[]> = {
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
export function launchesOf(planner: Planner): { launches: Launch[]; tail: number } {
  const { calls } = planner.program;
  const launches: Launch[] = [];
  let tail = -1;
  let aside = false; // see ./fused.ts
  for (let i = 0; i < calls.length; i++) {
    const call = calls[i]!;
    if (call.op === 'logits') tail = launches.length;
    const fused = fusedAt(planner, i, aside, (one) => applyOp(builders, one, planner));
    if (fused) {
      launches.push(...fused.launches);
      i += fused.calls - 1;
      aside = fused.aside;
    } else launches.push(...applyOp(builders, call, planner));
    if (call.op === 'logits') launches.push(sample(planner));
  }
  return { launches, tail: tail < 0 ? launches.length : tail };
}
