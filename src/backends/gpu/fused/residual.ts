import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import type { Launch } from '../launch.ts';
import { linear, type SumSquares } from '../linear/linear.ts';
import type { Planner } from '../planner.ts';
import { not, oneRow, only } from './when.ts';

/**
 * Where the residual of one row lies every other time: a launch that adds it up leaves the sum where none of its
 * workgroups reads.
 */
export const RESIDUAL_PINGPONG = 'residual ping-pong';

/** A projection that adds to the residual, wherever that lies. */
export function residualLaunches(
  call: LinearResidualCall,
  planner: Planner,
  sumSquares: SumSquares | null,
  pingpong: boolean,
): Launch[] {
  const launches = (residualIn?: string) =>
    linear({ ...call, eps: sumSquares?.eps ?? 1, sumSquares, residualIn }, planner);
  const usual = launches();
  if (!pingpong) return usual;
  return [...launches(RESIDUAL_PINGPONG), ...only(not(oneRow), usual)];
}
