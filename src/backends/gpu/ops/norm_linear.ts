import type { NormLinearCall } from '../../../ops/norm_linear.ts';
import type { Launch } from '../launch.ts';
import { linear } from '../linear/linear.ts';
import type { Planner } from '../planner.ts';

export function norm_linear(call: NormLinearCall, planner: Planner): Launch[] {
  return linear(call, planner);
}
