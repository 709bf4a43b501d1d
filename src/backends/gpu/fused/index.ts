import type { OpCall } from '../../../ops/index.ts';
import type { NormLinearCall } from '../../../ops/norm_linear.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';
import { mamba2_decode } from './mamba2_decode.ts';
import { mamba2_project } from './mamba2_project.ts';
import { mixerAt, same } from './mixer.ts';
import { isAddedUp, linearOfPartialSums } from './partial_sums.ts';
import { RESIDUAL_PINGPONG, residualLaunches } from './residual.ts';
import { not, oneRow, only, rowASlot, rowInSlots } from './when.ts';

/** What takes the place of some calls' launches. */
export interface Fused {
  calls: number;
  launches: Launch[];
  pingpong: boolean; // Does the residual of a step of one row lie in RESIDUAL_PINGPONG then?
}

/**
 * A Mamba-2 block's mixer and the projection after it: two launches where every slot has one row. Where there is but one
 * row, a single launch, and the next block's first projection adds up what that leaves.
 */
export function fusedAt(
  planner: Planner,
  index: number,
  pingpong: boolean,
  apart: (call: OpCall) => Launch[],
): Fused | null {
  const { calls } = planner.program;
  const [call, , , out, next] = calls.slice(index, index + 5);
  if (pingpong && call!.op === 'linear_residual')
    return { calls: 1, launches: residualLaunches(call!, planner, null, pingpong), pingpong: false };
  const mixer = mixerAt(calls, index);
  if (!mixer || out?.op !== 'linear_residual' || !same(out.x, mixer.gate.y)) return null;
  const { launch, sumSquares } = mamba2_decode(mixer, planner);
  const several = only(
    not(rowASlot),
    [call!, mixer.ssd, mixer.gate, out].flatMap((each) => apart(each)),
  );
  const projected = isAddedUp(planner, out, index + 4) ? mamba2_project(mixer, out, planner) : null;
  if (!projected) {
    const pair = [launch, ...residualLaunches(out, planner, sumSquares, pingpong)];
    return { calls: 4, launches: [...only(rowASlot, pair), ...several], pingpong: false };
  }
  planner.shared(RESIDUAL_PINGPONG, 4 * planner.stride(out.y.buffer));
  const places = [planner.activation(out.y).buffer, RESIDUAL_PINGPONG];
  const [from, to] = (pingpong ? places.reverse() : places) as [string, string];
  const adding = next as NormLinearCall;
  return {
    calls: 5,
    launches: [
      projected.launch,
      ...linearOfPartialSums(adding, planner, projected.partialSums, from, to),
      ...only(rowInSlots, [launch, ...residualLaunches(out, planner, sumSquares, false)]),
      ...several,
      ...only(not(oneRow), apart(adding)),
    ],
    pingpong: !pingpong,
  };
}
