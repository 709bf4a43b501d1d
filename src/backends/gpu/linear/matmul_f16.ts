import { type Launch, mergeSettings } from '../launch.ts';
import type { LinearPart, Planner } from '../planner.ts';
import { F16_BLOCK, F16_ROWS } from './f16_rows.ts';
import type { LinearLayout } from './layout.ts';
import { type RowsOf, type Tile, tiled, type Unlaunched } from './tile.ts';

/** Tiles of products of f16, summed in f16 over a block of columns. */
export function matmulF16(
  { settings, slices }: Unlaunched,
  part: LinearPart,
  tile: F16Tile,
  rowsOf: RowsOf,
): Launch {
  return {
    kernel: 'matmul_f16',
    settings: mergeSettings(settings, tile.constants, { F16: true }),
    slices: { ...slices, ...F16_ROWS },
    workgroups: tiled(part, tile, rowsOf),
  };
}

interface F16Tile extends Tile {
  constants: Record<string, number>;
}

export function f16Tile(from: number, { wordCols }: LinearLayout, { tuning, program }: Planner): F16Tile {
  const { rowsOfX: BM, rowsOfW: BN } = tuning.matmulF16;
  const threads = 128;
  return {
    ...{ rowsOfX: BM, rowsOfW: BN, from, to: program.chunk },
    constants: {
      ...{ BM, BN, BK: F16_BLOCK, M_ROWS: BM / 8, N_ROWS: BN / 16 },
      X_PAIRS: (BM * F16_BLOCK) / 2 / threads,
      W_WORDS: (BN * F16_BLOCK) / wordCols / threads,
    },
  };
}
