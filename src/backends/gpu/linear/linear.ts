import type { View } from '../../../ops/contract.ts';
import type { KernelSettings, Launch } from '../launch.ts';
import type { LinearPart, Planner } from '../planner.ts';
import { type F16Path, takeF16Rows, toF16 } from './f16_rows.ts';
import { isAligned, type LinearLayout } from './layout.ts';
import { floatTiles, matmul } from './matmul.ts';
import { f16Tile, matmulF16 } from './matmul_f16.ts';
import { matvec, matvecTiling } from './matvec.ts';
import { matmulMatrix, matricesFit, matrixTiles } from './subgroup_matrix.ts';
import type { RowsOf, Tile, Unlaunched } from './tile.ts';
import { weightSettings, weightSlices } from './weight.ts';

/** The sums of squares of what a norm spans, that a launch before left. */
export interface SumSquares {
  buffer: string;
  count: number; // of a row
  cols: number; // that the norm spans
  eps: number;
}

export interface Linear {
  x: View;
  w: string;
  g?: string | undefined;
  b?: string | undefined;
  residual?: View;
  /** A view, or the rows of logits. */
  y: View | 'logits';
  eps: number;
  scale?: number | undefined;
  /** Where the norm's sum of squares comes from, if not from x. */
  sumSquares?: SumSquares | null;
  /** The buffer that the residual of the only row lies in, if not where the program has it. */
  residualIn?: string | undefined;
}

/** For each part of the weight a kernel for few rows and some for many. */
export function linear(call: Linear, planner: Planner): Launch[] {
  const { layout, parts } = planner.linears.get(call.w)!;
  const rowsOf: RowsOf = (shape) => (call.y === 'logits' ? shape.logitRows : shape.rows);
  const all = call.y === 'logits' ? planner.maxOutputs : planner.program.chunk; // rows of x
  const most = call.residualIn === undefined ? all : 1;
  const path = f16Path(layout, planner);
  const from = path?.from ?? planner.tuning.matvec.mostRowsOfX + 1; // fewer are matvec's
  const f16 = most >= from ? path : null;
  if (f16) takeF16Rows(layout, planner);
  const reached = (tile: Tile) => tile.from <= most;
  const launches = parts.flatMap((part): Launch[] => {
    const base = unlaunched(call, layout, part, planner);
    const few = matvec(base, Math.min(from - 1, most), rowsOf, matvecTiling(layout, part, planner));
    if (f16?.matrices) {
      const tiles = matrixTiles(part.rows, layout, planner).filter(reached);
      return [few, ...tiles.flatMap((tile) => matmulMatrix(base, part, tile, rowsOf))];
    }
    if (f16) return [few, matmulF16(base, part, f16Tile(from, layout, planner), rowsOf)];
    const tiles = floatTiles(from, part, planner).filter(reached);
    return [few, ...tiles.map((tile) => matmul(base, part, tile, rowsOf))];
  });
  return f16 ? [toF16(unlaunched(call, layout, parts[0]!, planner), f16, rowsOf), ...launches] : launches;
}

/** How many rows of x meet a weight as f16; null: not at all. */
function f16Path(layout: LinearLayout, planner: Planner): F16Path | null {
  const { format } = layout;
  const f32 = format.kind === 'float' && format.dtype === 'f32';
  if (!planner.f16 || f32 || !isAligned(layout)) return null;
  const { matvec, subgroupMatrix } = planner.tuning;
  return matricesFit(planner)
    ? { matrices: true, from: subgroupMatrix.leastRowsOfX, largest: 1024 }
    : { matrices: false, from: matvec.mostRowsOfX + 1, largest: 1 };
}

/** What all kernels want to know of a call and a part of its weight. */
export function unlaunched(
  call: Linear,
  layout: LinearLayout,
  part: LinearPart,
  planner: Planner,
): Unlaunched {
  return {
    settings: linearSettings(call, layout, part, planner),
    slices: linearSlices(call, part, planner),
  };
}

function linearSlices(call: Linear, part: LinearPart, planner: Planner): Launch['slices'] {
  const { x, y, g, b, residual, sumSquares, residualIn } = call;
  return {
    batch: { buffer: 'batch' },
    ...weightSlices(part),
    x_in: planner.activation(x),
    y_out: y === 'logits' ? { buffer: 'logits' } : planner.activation(y),
    ...(g !== undefined && { g_in: planner.region({ G: g }).slice }),
    ...(b !== undefined && { b_in: planner.region({ B: b }).slice }),
    ...(residual && { residual_in: residualIn ? { buffer: residualIn } : planner.activation(residual) }),
    ...(sumSquares && { sum_squares: { buffer: sumSquares.buffer } }),
  };
}

function linearSettings(
  call: Linear,
  layout: LinearLayout,
  part: LinearPart,
  planner: Planner,
): KernelSettings {
  const { x, y, g, b, residual, sumSquares, eps, scale } = call;
  const weight = weightSettings(layout, part);
  const vectors = [x.offset, planner.stride(x.buffer), layout.cols].every((n) => n % 4 === 0);
  return {
    flags: {
      ...weight.flags,
      SUBGROUPS: planner.features.subgroups > 0,
      X_VECTORS: vectors,
      NORM: g !== undefined,
      SUM_SQUARES: Boolean(sumSquares),
      NORMED: g !== undefined || Boolean(sumSquares),
      G: g !== undefined,
      BIAS: b !== undefined,
      RESIDUAL: residual !== undefined,
      LOGITS: y === 'logits',
    },
    constants: {
      ...planner.batch,
      ...weight.constants,
      ...planner.view('X', x),
      ...(y === 'logits' ? { Y_STRIDE: planner.logitsStride, Y_OFFSET: 0 } : planner.view('Y', y)),
      ...(residual && planner.view('R', residual)),
      ...(sumSquares && { N_SUM_SQUARES: sumSquares.count }),
      NORM_COLS: sumSquares?.cols ?? layout.cols,
    },
    floats: { ...weight.floats, SCALE: scale ?? 1, EPS: eps },
  };
}
