import type { View } from '../../../ops/contract.ts';
import type { OpCall } from '../../../ops/index.ts';
import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import type { NormLinearCall } from '../../../ops/norm_linear.ts';
import type { Launch, StepShape } from '../launch.ts';
import { isAligned } from '../linear_layout.ts';
import type { Planner } from '../planner.ts';
import { linear_of_shares, linear_residual } from './linear.ts';
import { mamba2_decode, mamba2_project, mixerAt, type Stats, same } from './mixer.ts';

/** What takes the place of some calls' launches. */
export interface Fused {
  calls: number;
  launches: Launch[];
  aside: boolean; // Does the residual of a step of one row lie in ASIDE then?
}

/**
 * Where the residual of one row lies every other time: a launch that adds it up leaves the sum where none of its
 * workgroups reads.
 */
const ASIDE = 'residual aside';

type When = (shape: StepShape) => boolean;
const oneRow: When = ({ rows }) => rows === 1;
const rowASlot: When = ({ single }) => single;
const rowInSlots: When = ({ single, rows }) => single && rows > 1;
const not = (when: When) => (shape: StepShape) => !when(shape);
const only = (when: When, launches: readonly Launch[]): Launch[] =>
  launches.map((launch) => ({
    ...launch,
    workgroups: (shape) => (when(shape) ? launch.workgroups(shape) : null),
  }));

/**
 * A Mamba-2 block's mixer and the projection after it: two launches where every slot has one row. Where there is but one
 * row, a single launch, and the next block's first projection adds up what that leaves.
 */
export function fusedAt(
  planner: Planner,
  index: number,
  aside: boolean,
  apart: (call: OpCall) => Launch[],
): Fused | null {
  const { calls } = planner.program;
  const [call, , , out, next] = calls.slice(index, index + 5);
  if (aside && call!.op === 'linear_residual')
    return { calls: 1, launches: ofResidual(call!, planner, null, aside), aside: false };
  const mixer = mixerAt(calls, index);
  if (!mixer || out?.op !== 'linear_residual' || !same(out.x, mixer.gate.y)) return null;
  const { launch, stats } = mamba2_decode(mixer, planner);
  const several = only(
    not(rowASlot),
    [call!, mixer.ssd, mixer.gate, out].flatMap((each) => apart(each)),
  );
  const projected = isAddedUp(planner, out, index + 4) ? mamba2_project(mixer, out, planner) : null;
  if (!projected) {
    const pair = [launch, ...ofResidual(out, planner, stats, aside)];
    return { calls: 4, launches: [...only(rowASlot, pair), ...several], aside: false };
  }
  planner.shared(ASIDE, 4 * planner.stride(out.y.buffer));
  const places = [planner.activation(out.y).buffer, ASIDE];
  const [from, to] = (aside ? places.reverse() : places) as [string, string];
  const adding = next as NormLinearCall;
  return {
    calls: 5,
    launches: [
      projected.launch,
      ...linear_of_shares(adding, planner, projected.shares, from, to),
      ...only(rowInSlots, [launch, ...linear_residual(out, planner, stats)]),
      ...several,
      ...only(not(oneRow), apart(adding)),
    ],
    aside: !aside,
  };
}

/**
 * Does a norm and a projection follow at call `index` that can add up what `out` writes, and does nobody but the next
 * residual read the sum?
 */
function isAddedUp(planner: Planner, out: LinearResidualCall, index: number): boolean {
  const [next, ...rest] = planner.program.calls.slice(index);
  if (next?.op !== 'norm_linear' || next.b !== undefined) return false;
  const { layout } = planner.linears.get(next.w)!;
  const reader = rest.find((call) => views(call).some(({ buffer }) => buffer === out.y.buffer));
  return (
    same(out.residual, out.y) &&
    same(next.x, out.y) &&
    next.y.buffer !== out.y.buffer &&
    isAligned(layout) &&
    16 * layout.cols <= planner.features.maxWorkgroupMemory && // a quarter of it holds the row
    out.y.offset % 4 === 0 &&
    reader?.op === 'linear_residual' &&
    reader.x.buffer !== out.y.buffer &&
    same(reader.residual, out.y)
  );
}

/** A projection that adds to the residual, wherever that lies. */
function ofResidual(
  call: LinearResidualCall,
  planner: Planner,
  stats: Stats | null,
  aside: boolean,
): Launch[] {
  const launches = linear_residual(call, planner, stats);
  if (!aside) return launches;
  return [...linear_residual(call, planner, stats, ASIDE), ...only(not(oneRow), launches)];
}

function views(call: OpCall): View[] {
  return Object.values(call).filter((value): value is View => typeof value === 'object');
}
