import { type Launch, mergeSettings } from '../launch.ts';
import type { Planner } from '../planner.ts';
import type { LinearLayout } from './layout.ts';
import type { RowsOf, Unlaunched } from './tile.ts';

/** Columns that are multiplied at a time; BLOCK of shaders/wgsl/lib/f16.wgsl. */
export const F16_BLOCK = 64;
/** Rows of x, as to_f16 leaves them. */
export const F16_ROWS = { x_f16: { buffer: 'x_f16' }, factors: { buffer: 'factors' } };

/** How many rows of x meet a weight as f16: by matrices of subgroups, or each thread for itself. */
export interface F16Path {
  matrices: boolean;
  from: number; // rows of x
  largest: number; // value of x: sums of f16 have less room than those of f32
}

/** Takes the room for rows of x as f16. */
export function takeF16Rows({ cols }: LinearLayout, planner: Planner): void {
  const { chunk } = planner.program;
  planner.shared('x_f16', 2 * chunk * F16_BLOCK * Math.ceil(cols / F16_BLOCK));
  planner.buffer('factors', 4 * chunk, 'scratch');
}

/** Rows of x as f16. */
export function toF16({ settings, slices }: Unlaunched, { from, largest }: F16Path, rowsOf: RowsOf): Launch {
  return {
    kernel: 'to_f16',
    settings: mergeSettings(settings, { THREADS: 128 }, {}, { LARGEST: largest }),
    slices: { ...slices, ...F16_ROWS },
    workgroups: (shape) => (rowsOf(shape) < from ? null : [rowsOf(shape), 1, 1]),
  };
}
