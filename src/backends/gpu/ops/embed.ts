import type { EmbedCall } from '../../../ops/embed.ts';
import { type Launch, mergeSettings } from '../launch.ts';
import { weightSettings, weightSlices } from '../linear/weight.ts';
import type { Planner } from '../planner.ts';

export function embed({ table, y, scale = 1 }: EmbedCall, planner: Planner): Launch[] {
  const { layout, parts } = planner.linears.get(table)!;
  return parts.map((part) => ({
    kernel: 'embed',
    settings: mergeSettings(
      weightSettings(layout, part),
      { ...planner.batch, ...planner.view('Y', y) },
      {},
      { SCALE: scale },
    ),
    slices: { batch: { buffer: 'batch' }, ...weightSlices(part), y_out: planner.activation(y) },
    workgroups: ({ rows }) => [Math.ceil(layout.cols / 64), rows, 1],
  }));
}
