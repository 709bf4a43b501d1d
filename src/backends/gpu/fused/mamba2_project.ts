import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import type { Launch } from '../launch.ts';
import { isAligned } from '../linear/layout.ts';
import { weightSettings, weightSlices } from '../linear/weight.ts';
import { cutHeads, type SsdDims } from '../ops/ssd_scan.ts';
import type { Planner } from '../planner.ts';
import { type Mixer, mixerBase, normOf } from './mixer.ts';
import type { PartialSums } from './partial_sums.ts';

/** With the projection after it, for steps of one row; null where the partial sums would cost more than a launch. */
export function mamba2_project(
  mixer: Mixer,
  { w, b, scale = 1 }: LinearResidualCall,
  planner: Planner,
): { launch: Launch; partialSums: PartialSums } | null {
  const { ssd, gate } = mixer;
  const { layout, parts } = planner.linears.get(w)!;
  const part = parts[0]!;
  const dims = planner.dims(ssd) as unknown as SsdDims;
  const { channels, loads: mostLoads, partialSumBytes } = planner.tuning.mamba2Project;
  const { count, constants } = cutHeads(dims, ssd.ngroups, channels, planner);
  const { BLOCK: block, SLICES: slices } = constants;
  const unit = 4 * layout.wordCols;
  const units = block / unit;
  const items = (part.rows / 4) * units;
  const loads = Math.ceil(items / (block * slices));
  const sums = dims.nheads * count;
  const bytes = sums * (4 * part.rows + 16);
  const memory = 4 * (2 * dims.d_state + block * slices + 2 * block + (unit + 4) * units + 4 * items);
  const fits =
    layout.format.kind === 'quant' &&
    isAligned(layout) &&
    [units, items, dims.headdim / block].every(Number.isInteger) &&
    b === undefined &&
    parts.length === 1 &&
    loads <= mostLoads &&
    bytes <= partialSumBytes &&
    memory <= planner.features.maxWorkgroupMemory;
  if (!fits) return null;
  planner.shared('partial_sums', bytes);
  const base = mixerBase(mixer, planner);
  const weight = weightSettings(layout, part);
  const launch: Launch = {
    kernel: 'mamba2_project',
    settings: {
      flags: {
        ...base.settings.flags,
        ...weight.flags,
        PROJECT: true,
        PACKED: planner.packedDots,
        SUBGROUPS: planner.packedDots,
      },
      floats: { ...base.settings.floats, ...weight.floats },
      constants: {
        ...base.settings.constants,
        ...weight.constants,
        ...constants,
        BLOCKS: count,
        TILE_UNITS: units,
        LOADS: loads,
        ...(planner.packedDots && { EIGHTS: layout.wordCols / 2 }),
      },
    },
    slices: { ...base.slices, ...weightSlices(part), partial_sums: { buffer: 'partial_sums' } },
    workgroups: ({ rows }) => (rows === 1 ? [count, dims.nheads, 1] : null),
  };
  return { launch, partialSums: { count: sums, norm: normOf(gate), scale } };
}
