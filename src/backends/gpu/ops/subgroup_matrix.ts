import type { MatrixShape } from '../launch.ts';
import type { LinearLayout } from '../linear_layout.ts';
import type { Planner } from '../planner.ts';

/** What a workgroup of matmul_matrix makes. Measured on an H100. */
interface Cut {
  BM: number; // rows of x
  BN: number; // rows of W
  SM: number; // subgroups, one below the other
  SN: number; // subgroups, side by side
}

const MANY: Cut = { BM: 64, BN: 64, SM: 2, SN: 2 };
const FEW: Cut = { BM: 32, BN: 64, SM: 1, SN: 4 };
const SMALL: Cut = { BM: 32, BN: 32, SM: 2, SN: 2 };
const BLOCK = 64; // columns at a time; BLOCK of shaders/wgsl/lib/halves.wgsl
const FEW_ROWS = 32; // of x
const ENOUGH_GROUPS = 264; // workgroups: two for each processor of an H100
const MOST_PARTS = 8;
const LEAST_BLOCKS = 8; // of columns, in a part

/** Rows of x for which a subgroup multiplies matrices; fewer are matvec's. */
export const MATRICES_FROM = 8;

/** What a workgroup makes, and for how many rows of x. */
export interface Tile {
  rowsOfX: number;
  rowsOfW: number;
  from: number;
  to: number;
}

export interface MatrixTile extends Tile {
  constants: Record<string, number>;
  split: number; // parts of the columns, a workgroup each
}

/** How a weight meets many rows of x as halves: matrices of subgroups, or each thread for itself; null: not at all. */
export function waysOfHalves(
  { format }: LinearLayout,
  aligned: boolean,
  planner: Planner,
): 'matrices' | 'f16' | null {
  const { subgroups, matrices, maxThreads } = planner.features;
  const f32 = format.kind === 'float' && format.dtype === 'f32';
  if (!planner.halves || f32 || !aligned) return null;
  return matrices && fits(SMALL, matrices, planner) && 4 * subgroups <= maxThreads ? 'matrices' : 'f16';
}

/** Takes the room for rows of x as halves. */
export function takeHalves({ cols }: LinearLayout, planner: Planner): void {
  const { chunk } = planner.program;
  planner.shared('halves', 2 * chunk * BLOCK * Math.ceil(cols / BLOCK));
  planner.buffer('factors', 4 * chunk, 'scratch');
}

/** What a workgroup of matmul_half makes. */
export function halfTile(
  from: number,
  { wordCols }: LinearLayout,
  { features, program }: Planner,
): MatrixTile {
  const [BM, BN] = features.maxWorkgroupMemory < 32_768 ? [32, 64] : [64, 128];
  const threads = 128;
  return {
    ...{ rowsOfX: BM, rowsOfW: BN, from, to: program.chunk, split: 1 },
    constants: {
      ...{ BM, BN, BK: BLOCK, M_ROWS: BM / 8, N_ROWS: BN / 16 },
      X_PAIRS: (BM * BLOCK) / 2 / threads,
      W_WORDS: (BN * BLOCK) / wordCols / threads,
    },
  };
}

/** The tiles for so many rows of a weight. */
export function matrixTiles(rows: number, layout: LinearLayout, planner: Planner): MatrixTile[] {
  const { subgroups, matrices } = planner.features;
  const { chunk } = planner.program;
  const tile = (cut: Cut, from: number, to: number, split: number): MatrixTile => {
    const constants = constantsOf(cut, matrices!, subgroups, layout.wordCols);
    const blocks = Math.ceil(layout.cols / BLOCK);
    const parts = { SPLIT: split, PART_ROWS: to, PART_COLS: BLOCK * Math.ceil(blocks / split) };
    if (split > 1) planner.shared('parts', 4 * split * to * rows);
    return {
      ...{ rowsOfX: cut.BM, rowsOfW: cut.BN, from, to, split },
      constants: { ...constants, ...(split > 1 && parts) },
    };
  };
  const possible = (cut: Cut) => (fits(cut, matrices!, planner) ? cut : SMALL);
  const [few, split] = cutOfFew(rows, layout.cols);
  return [tile(possible(few), MATRICES_FROM, FEW_ROWS, split), tile(possible(MANY), FEW_ROWS + 1, chunk, 1)];
}

/** The cut for few rows of x, and into how many parts the columns are split: a large GPU wants many workgroups. */
function cutOfFew(rows: number, cols: number): [Cut, number] {
  const groups = (cut: Cut) => Math.ceil(rows / cut.BN);
  if (groups(FEW) >= ENOUGH_GROUPS) return [FEW, 1];
  if (groups(SMALL) >= 0.75 * ENOUGH_GROUPS) return [SMALL, 1];
  const most = Math.min(MOST_PARTS, Math.floor(cols / BLOCK / LEAST_BLOCKS));
  const split = Math.min(most, Math.floor(ENOUGH_GROUPS / groups(FEW)));
  return split > 1 ? [FEW, split] : [SMALL, 1];
}

function constantsOf(
  { BM, BN, SM, SN }: Cut,
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
function fits({ BM, BN, SM, SN }: Cut, { M, N, K }: MatrixShape, { features }: Planner): boolean {
  const bytes = 2 * (BM + BN) * (BLOCK + 8) + 4 * SM * SN * M * N;
  const whole = (BM / SM) % M === 0 && (BN / SN) % N === 0 && BLOCK % K === 0;
  return whole && bytes <= features.maxWorkgroupMemory;
}
