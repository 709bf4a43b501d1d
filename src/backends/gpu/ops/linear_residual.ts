import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import type { Launch } from '../launch.ts';
import { linear } from '../linear/linear.ts';
import type { Planner } from '../planner.ts';

export function linear_residual(call: LinearResidualCall, planner: Planner): Launch[] {
  return linear({ ...call, eps: 1 }, planner);
}
