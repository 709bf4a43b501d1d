import type { LogitsCall } from '../../../ops/logits.ts';
import type { Launch } from '../launch.ts';
import { linear } from '../linear/linear.ts';
import type { Planner } from '../planner.ts';

export function logits(call: LogitsCall, planner: Planner): Launch[] {
  return linear({ ...call, y: 'logits' }, planner);
}
