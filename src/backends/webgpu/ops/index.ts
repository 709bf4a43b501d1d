import { applyOp, type OpTable } from '../../../ops/index.ts';
import type { Launch, Plan, Shape } from '../plan.ts';
import { activation, gate_norm } from './elementwise.ts';
import { embed, linear_residual, logits, norm_linear } from './linear.ts';
import { conv1d, mamba2_decode, mixerAt, ssd_scan } from './mamba2.ts';
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
  for (let i = 0; i < calls.length; i++) {
    const call = calls[i]!;
    if (call.op === 'logits') tail = launches.length;
    const fused = fusedAt(plan, i);
    if (fused) {
      launches.push(...fused.launches);
      i += fused.calls - 1;
    } else launches.push(...applyOp(builders, call, plan));
    if (call.op === 'logits') launches.push(sample(plan));
  }
  return { launches, tail: tail < 0 ? launches.length : tail };
}

/** A Mamba-2 block's mixer and the projection after it: fewer launches where every slot has one row. */
function fusedAt(plan: Plan, index: number): { launches: Launch[]; calls: number } | null {
  const { calls } = plan.program;
  const mixer = mixerAt(calls, index);
  const next = calls[index + 3];
  if (!mixer || next?.op !== 'linear_residual' || JSON.stringify(next.x) !== JSON.stringify(mixer.gate.y))
    return null;
  const { launch, stats } = mamba2_decode(mixer, plan);
  const single = ({ single }: Shape) => single;
  const several = ({ single }: Shape) => !single;
  return {
    calls: 4,
    launches: [
      only(single, launch),
      ...linear_residual(next, plan, stats).map((part) => only(single, part)),
      ...calls
        .slice(index, index + 4)
        .flatMap((call) => applyOp(builders, call, plan).map((part) => only(several, part))),
    ],
  };
}

function only(when: (shape: Shape) => boolean, launch: Launch): Launch {
  return { ...launch, workgroups: (shape) => (when(shape) ? launch.workgroups(shape) : null) };
}
