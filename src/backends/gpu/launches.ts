import { applyOp, type OpCall } from '../../ops/index.ts';
import { fusedAt } from './fused/index.ts';
import type { Launch } from './launch.ts';
import { launchers } from './ops/index.ts';
import type { Planner } from './planner.ts';

/** The launches of a program, in order, and where those begin that only outputs need. */
export function launchesOf(planner: Planner): { launches: Launch[]; tail: number } {
  const { calls } = planner.program;
  const apart = (call: OpCall) => applyOp(launchers, call, planner);
  const launches: Launch[] = [];
  let tail = -1;
  let pingpong = false; // see fused/residual.ts
  for (let i = 0; i < calls.length; i++) {
    const call = calls[i]!;
    if (call.op === 'sample') continue; // it follows `logits` always, for the sake of targets
    if (call.op === 'logits') tail = launches.length;
    const fused = fusedAt(planner, i, pingpong, apart);
    if (fused) {
      launches.push(...fused.launches);
      i += fused.calls - 1;
      pingpong = fused.pingpong;
    } else launches.push(...apart(call));
    if (call.op === 'logits') launches.push(...apart({ op: 'sample' }));
  }
  return { launches, tail: tail < 0 ? launches.length : tail };
}
