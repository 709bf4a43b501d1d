import { type Launch, type MatrixShape, mergeSettings } from '../launch.ts';
import type { LinearPart, Planner } from '../planner.ts';
import type { MatrixTiling } from '../tuning.ts';
import { F16_BLOCK as BLOCK, F16_ROWS } from './f16_rows.ts';
import type { LinearLayout } from './layout.ts';
import { type RowsOf, type Tile, tiled, type Unlaunched } from './tile.ts';

const PARTS = { parts: { buffer: 'parts' } }; // of products

interface MatrixTile extends Tile {
  constants: Record<string, number>;
  splits: number; // of the columns, a workgroup each
}

/** Do subgroups multiply matrices here that are cut from the smallest tiles? */
export function matricesFit(planner: Planner): boolean {
  const { subgroups, matrices, maxThreads } = planner.features;
  const { small } = planner.tuning.subgroupMatrix;
  return matrices !== null && fits(small, matrices, planner) && 4 * subgroups <= maxThreads;
}

/** Tiles of products of f16 that subgroups multiply as matrices, and the sums of split columns. */
export function matmulMatrix(
  { settings, slices }: Unlaunched,
  part: LinearPart,
  tile: MatrixTile,
  rowsOf: RowsOf,
): Launch[] {
  const { splits, constants } = tile;
  const workgroups = tiled(part, tile, rowsOf, splits);
  const product: Launch = {
    kernel: 'matmul_matrix',
    settings: mergeSettings(settings, constants, { F16: true, MATRICES: true, PARTS: splits > 1 }),
    slices: { ...slices, ...F16_ROWS, ...(splits > 1 && PARTS) },
    workgroups,
  };
  if (splits === 1) return [product];
  const sum: Launch = {
    kernel: 'sum_parts',
    settings: mergeSettings(settings, constants),
    slices: { ...slices, ...PARTS },
    workgroups: (shape) => (workgroups(shape) ? [Math.ceil(part.rows / 64), rowsOf(shape), 1] : null),
  };
  return [product, sum];
}

/** The tiles for so many rows of a weight. */
export function matrixTiles(rows: number, layout: LinearLayout, planner: Planner): MatrixTile[] {
  const { subgroups, matrices } = planner.features;
  const { leastRowsOfX, fewRowsOfX, small, many } = planner.tuning.subgroupMatrix;
  const { chunk } = planner.program;
  const tile = (tiling: MatrixTiling, from: number, to: number, splits: number): MatrixTile => {
    const constants = constantsOf(tiling, matrices!, subgroups, layout.wordCols);
    const blocks = Math.ceil(layout.cols / BLOCK);
    const parts = { SPLIT: splits, PART_ROWS: to, PART_COLS: BLOCK * Math.ceil(blocks / splits) };
    if (splits > 1) planner.shared('parts', 4 * splits * to * rows);
    return {
      ...{ rowsOfX: tiling.rowsOfX, rowsOfW: tiling.rowsOfW, from, to, splits },
      constants: { ...constants, ...(splits > 1 && parts) },
    };
  };
  const possible = (tiling: MatrixTiling) => (fits(tiling, matrices!, planner) ? tiling : small);
  const [few, splits] = tilingOfFew(rows, layout.cols, planner);
  return [
    tile(possible(few), leastRowsOfX, fewRowsOfX, splits),
    tile(possible(many), fewRowsOfX + 1, chunk, 1),
  ];
}

/** The tiling for few rows of x, and how often the columns are split: a large GPU wants many workgroups. */
function tilingOfFew(rows: number, cols: number, { tuning }: Planner): [MatrixTiling, number] {
  const { few, small, workgroups, mostSplits, leastBlocks } = tuning.subgroupMatrix;
  const across = (tiling: MatrixTiling) => Math.ceil(rows / tiling.rowsOfW);
  if (across(few) >= workgroups) return [few, 1];
  if (across(small) >= 0.75 * workgroups) return [small, 1];
  const most = Math.min(mostSplits, Math.floor(cols / BLOCK / leastBlocks));
  const splits = Math.min(most, Math.floor(workgroups / across(few)));
  return splits > 1 ? [few, splits] : [small, 1];
}

function constantsOf(
  { rowsOfX: BM, rowsOfW: BN, subgroupsDown: SM, subgroupsAcross: SN }: MatrixTiling,
  { M, N, K }: MatrixShape,
  SUBGROUP: number,
  wordCols: number,
): Record<string, number> {
  const [FM, FN] = [BM / SM / M, BN / SN / N];
  const threads = SUBGROUP * SM * SN;
  return {
    ...{ BM, BN, BK: BLOCK, SM, SN, MM: M, MN: N, MK: K, FM, FN, PRODUCTS: FM * FN, SUBGROUP },
    X_PAIRS: (BM * BLOCK) / 2 / threads, // of a thread
    W_WORDS: (BN * BLOCK) / wordCols / threads, // of a thread
  };
}

/** Is there workgroup memory for both tiles and a product of each subgroup, and are they cut into whole products? */
function fits(tiling: MatrixTiling, { M, N, K }: MatrixShape, { features }: Planner): boolean {
  const { rowsOfX: BM, rowsOfW: BN, subgroupsDown: SM, subgroupsAcross: SN } = tiling;
  const bytes = 2 * (BM + BN) * (BLOCK + 8) + 4 * SM * SN * M * N;
  const whole = (BM / SM) % M === 0 && (BN / SN) % N === 0 && BLOCK % K === 0;
  return whole && bytes <= features.maxWorkgroupMemory;
}
