import type { Launch } from '../launch.ts';
import type { SumSquares } from '../linear/linear.ts';
import { cutHeads, type SsdDims } from '../ops/ssd_scan.ts';
import type { Planner } from '../planner.ts';
import { type Mixer, mixerBase, normOf } from './mixer.ts';

/** A launch that replaces a mixer's in steps of one row a slot; `sumSquares` is null where there is no norm. */
export function mamba2_decode(
  mixer: Mixer,
  planner: Planner,
): { launch: Launch; sumSquares: SumSquares | null } {
  const { ssd, gate } = mixer;
  const dims = planner.dims(ssd) as unknown as SsdDims;
  const { count, constants } = cutHeads(dims, ssd.ngroups, planner.tuning.ssdScan.channels, planner);
  const { settings, slices } = mixerBase(mixer, planner);
  const sums = dims.nheads * count;
  planner.shared('sum_squares', 4 * planner.program.chunk * sums);
  const launch: Launch = {
    kernel: 'mamba2_decode',
    settings: {
      ...settings,
      constants: { ...settings.constants, ...constants, BLOCKS: count, ...planner.view('Y', gate.y) },
    },
    slices: { ...slices, y_out: planner.activation(gate.y), sum_squares: { buffer: 'sum_squares' } },
    workgroups: ({ rows }) => [count, dims.nheads, rows],
  };
  const norm = normOf(gate);
  return { launch, sumSquares: norm && { buffer: 'sum_squares', count: sums, ...norm } };
}
