import type { View } from '../../../ops/contract.ts';
import type { OpCall } from '../../../ops/index.ts';
import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import type { NormLinearCall } from '../../../ops/norm_linear.ts';
import { type Launch, mergeSettings } from '../launch.ts';
import { isAligned } from '../linear/layout.ts';
import { unlaunched } from '../linear/linear.ts';
import { matvec, matvecTiling } from '../linear/matvec.ts';
import type { Planner } from '../planner.ts';
import { type Norm, same } from './mixer.ts';

/** What workgroups of `mamba2_project` leave of the only row's projection; whoever reads the residual next adds it up. */
export interface PartialSums {
  count: number;
  norm: Norm | null; // of what was projected
  scale: number;
}

/** In a step of one row, whose x has yet to be added up; the sum goes to the buffer `to`. */
export function linearOfPartialSums(
  call: NormLinearCall,
  planner: Planner,
  { count, norm, scale }: PartialSums,
  from: string,
  to: string,
): Launch[] {
  const { layout, parts } = planner.linears.get(call.w)!;
  return parts.map((part) => {
    const base = unlaunched(call, layout, part, planner);
    const settings = mergeSettings(
      base.settings,
      { N_PARTIAL_SUMS: count },
      { PARTIAL_SUMS: true, PARTIAL_SUMS_NORMED: norm !== null },
      { PARTIAL_SCALE: scale, ...(norm && { PARTIAL_COLS: norm.cols, PARTIAL_EPS: norm.eps }) },
    );
    const slices = {
      ...base.slices,
      ...{ x_in: { buffer: from }, x_out: { buffer: to }, partial_sums: { buffer: 'partial_sums' } },
    };
    const tiling = matvecTiling(layout, part, planner, 4 * layout.cols);
    return matvec({ settings, slices }, 1, ({ rows }) => rows, tiling);
  });
}

/**
 * Does a norm and a projection follow at call `index` that can add up what `out` writes, and does nobody but the next
 * residual read the sum?
 */
export function isAddedUp(planner: Planner, out: LinearResidualCall, index: number): boolean {
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

function views(call: OpCall): View[] {
  return Object.values(call).filter((value): value is View => typeof value === 'object');
}
