import type { View } from '../../../ops/contract.ts';
import type { EmbedCall } from '../../../ops/embed.ts';
import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import type { LogitsCall } from '../../../ops/logits.ts';
import type { NormLinearCall } from '../../../ops/norm_linear.ts';
import type { KernelSettings, Launch, StepShape } from '../launch.ts';
import { isAligned, type LinearLayout } from '../linear_layout.ts';
import type { LinearPart, Planner } from '../planner.ts';
import { MOST_GROUPS, teams } from './matvec.ts';
import type { Shares, Stats } from './mixer.ts';
import {
  halfTile,
  MATRICES_FROM,
  type MatrixTile,
  matrixTiles,
  type Tile,
  takeHalves,
  waysOfHalves,
} from './subgroup_matrix.ts';
import { weightSettings, weightSlices } from './weight.ts';

const MATMUL_GROUPS = 256; // of matmul
const HALVES = { halves: { buffer: 'halves' }, factors: { buffer: 'factors' } }; // rows of x, as to_half leaves them
const PARTS = { parts: { buffer: 'parts' } }; // of products
const FEW = 32; // rows of x that matvec takes: to read W again from the cache is no dearer than half-empty tiles
/** From how many rows of x on, and their largest value: sums of halves have less room than those of f32. */
const WAYS = { matrices: { from: MATRICES_FROM, LARGEST: 1024 }, f16: { from: FEW + 1, LARGEST: 1 } };

interface Linear {
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
  stats?: Stats | null;
  /** The buffer that the residual of the only row lies in, if not where the program has it. */
  residualIn?: string | undefined;
}

export function embed(call: EmbedCall, planner: Planner): Launch[] {
  const { layout, parts } = planner.linears.get(call.table)!;
  return parts.map((part) => ({
    kernel: 'embed',
    settings: with_(
      weightSettings(layout, part),
      { ...planner.batch, ...planner.view('Y', call.y) },
      {},
      { SCALE: call.scale ?? 1 },
    ),
    slices: {
      batch: { buffer: 'batch' },
      ...weightSlices(part),
      y_out: planner.activation(call.y),
    },
    workgroups: ({ rows }) => [Math.ceil(layout.cols / 64), rows, 1],
  }));
}

export function norm_linear(call: NormLinearCall, planner: Planner): Launch[] {
  return linear(call, planner);
}

export function linear_residual(
  call: LinearResidualCall,
  planner: Planner,
  stats: Stats | null = null,
  residualIn?: string,
): Launch[] {
  return linear({ ...call, eps: stats?.eps ?? 1, stats, residualIn }, planner);
}

/** In a step of one row, whose x has yet to be added up; the sum goes to the buffer `to`. */
export function linear_of_shares(
  call: NormLinearCall,
  planner: Planner,
  { count, norm, scale }: Shares,
  from: string,
  to: string,
): Launch[] {
  const { layout, parts } = planner.linears.get(call.w)!;
  return parts.map((part) => {
    const settings = with_(
      linearSettings(call, layout, part, planner),
      { N_SHARES: count },
      { SHARES: true, SHARES_NORMED: norm !== null },
      { SHARE_SCALE: scale, ...(norm && { SHARE_COLS: norm.cols, SHARE_EPS: norm.eps }) },
    );
    const slices = {
      ...linearSlices(call, part, planner),
      ...{ x_in: { buffer: from }, x_out: { buffer: to }, shares: { buffer: 'shares' } },
    };
    return fewRows(
      { settings, slices },
      1,
      ({ rows }) => rows,
      teams(layout, part, planner, 4 * layout.cols),
    );
  });
}

export function logits(call: LogitsCall, planner: Planner): Launch[] {
  return linear({ ...call, y: 'logits' }, planner);
}

/** For each part of the weight a kernel for few rows and some for many. */
function linear(call: Linear, planner: Planner): Launch[] {
  const { layout, parts } = planner.linears.get(call.w)!;
  const count = (shape: StepShape) => (call.y === 'logits' ? shape.logitRows : shape.rows);
  const all = call.y === 'logits' ? planner.maxOutputs : planner.program.chunk; // rows of x
  const most = call.residualIn === undefined ? all : 1;
  const ways = waysOfHalves(layout, isAligned(layout), planner);
  const from = ways ? WAYS[ways].from : FEW + 1; // fewer are matvec's
  const halves = most >= from ? ways : null;
  if (halves) takeHalves(layout, planner);
  const reached = (tile: Tile) => tile.from <= most;
  const launches = parts.flatMap((part): Launch[] => {
    const base = {
      slices: linearSlices(call, part, planner),
      settings: linearSettings(call, layout, part, planner),
    };
    const few = fewRows(base, Math.min(from - 1, most), count, teams(layout, part, planner));
    if (halves === 'matrices') {
      const tiles = matrixTiles(part.rows, layout, planner).filter(reached);
      return [few, ...tiles.flatMap((tile) => matmulMatrix(base, part, tile, count))];
    }
    if (halves) return [few, matmulHalf(base, part, halfTile(from, layout, planner), count)];
    const tiles = floatTiles(part, planner).filter(reached);
    return [few, ...tiles.map((tile) => matmul(base, part, tile, count))];
  });
  return halves ? [toHalf(call, layout, parts[0]!, WAYS[halves], count, planner), ...launches] : launches;
}

type Base = Pick<Launch, 'settings' | 'slices'>;
type Count = (shape: StepShape) => number; // rows of x

function fewRows(
  { settings, slices }: Base,
  most: number,
  count: Count,
  { packed, groups, constants, early }: ReturnType<typeof teams>,
): Launch {
  return {
    kernel: 'matvec',
    settings: with_(settings, constants, { EARLY: early, PACKED: packed }),
    slices,
    workgroups(shape) {
      const rows = count(shape);
      if (rows < 1 || rows > most) return null;
      return [Math.min(groups, MOST_GROUPS), rows, Math.ceil(groups / MOST_GROUPS)];
    },
  };
}

function matmul({ settings, slices }: Base, part: LinearPart, tile: FloatTile, count: Count): Launch {
  return {
    kernel: 'matmul',
    settings: with_(settings, { NJ: tile.NJ }),
    slices,
    workgroups: tiled(part, tile, count),
  };
}

function matmulHalf({ settings, slices }: Base, part: LinearPart, tile: MatrixTile, count: Count): Launch {
  return {
    kernel: 'matmul_half',
    settings: with_(settings, tile.constants, { HALVES: true }),
    slices: { ...slices, ...HALVES },
    workgroups: tiled(part, tile, count),
  };
}

function matmulMatrix(
  { settings, slices }: Base,
  part: LinearPart,
  tile: MatrixTile,
  count: Count,
): Launch[] {
  const { split, constants } = tile;
  const workgroups = tiled(part, tile, count, split);
  const product: Launch = {
    kernel: 'matmul_matrix',
    settings: with_(settings, constants, { HALVES: true, MATRICES: true, PARTS: split > 1 }),
    slices: { ...slices, ...HALVES, ...(split > 1 && PARTS) },
    workgroups,
  };
  if (split === 1) return [product];
  const sum: Launch = {
    kernel: 'sum_parts',
    settings: with_(settings, constants),
    slices: { ...slices, ...PARTS },
    workgroups: (shape) => (workgroups(shape) ? [Math.ceil(part.rows / 64), count(shape), 1] : null),
  };
  return [product, sum];
}

function tiled(
  part: LinearPart,
  { rowsOfX, rowsOfW, from, to }: Tile,
  count: Count,
  split = 1,
): Launch['workgroups'] {
  return (shape) => {
    const rows = count(shape);
    if (rows < from || rows > to) return null;
    return [Math.ceil(part.rows / rowsOfW), Math.ceil(rows / rowsOfX), split];
  };
}

/** Rows of x as halves. */
function toHalf(
  call: Linear,
  layout: LinearLayout,
  part: LinearPart,
  { from, LARGEST }: (typeof WAYS)['f16'],
  count: Count,
  planner: Planner,
): Launch {
  const settings = with_(linearSettings(call, layout, part, planner), { THREADS: 128 });
  return {
    kernel: 'to_half',
    settings: { ...settings, floats: { ...settings.floats, LARGEST } },
    slices: { ...linearSlices(call, part, planner), ...HALVES },
    workgroups: (shape) => (count(shape) < from ? null : [count(shape), 1, 1]),
  };
}

interface FloatTile extends Tile {
  NJ: number; // 64s of rows of W
}

/** What a workgroup of matmul makes: large tiles, where there is memory for them and enough of them. */
function floatTiles(part: LinearPart, { features, program }: Planner): FloatTile[] {
  const tile = (NJ: number, from: number, to: number): FloatTile => ({
    ...{ NJ, from, to },
    rowsOfX: 64,
    rowsOfW: 64 * NJ,
  });
  const { chunk } = program;
  if (features.maxWorkgroupMemory < 32_768) return [tile(1, FEW + 1, chunk)];
  const wide = Math.ceil(MATMUL_GROUPS / Math.ceil(part.rows / 128)) * 64; // rows of x that make enough of them
  if (wide > chunk) return [tile(1, FEW + 1, chunk)];
  return [tile(1, FEW + 1, wide - 1), tile(2, wide, chunk)];
}

function with_(
  settings: KernelSettings,
  constants: Record<string, number>,
  flags: Record<string, boolean> = {},
  floats: Record<string, number> = {},
): KernelSettings {
  return {
    flags: { ...settings.flags, ...flags },
    constants: { ...settings.constants, ...constants },
    floats: { ...settings.floats, ...floats },
  };
}

function linearSlices(call: Linear, part: LinearPart, planner: Planner): Launch['slices'] {
  const { x, y, g, b, residual, stats, residualIn } = call;
  return {
    batch: { buffer: 'batch' },
    ...weightSlices(part),
    x_in: planner.activation(x),
    y_out: y === 'logits' ? { buffer: 'logits' } : planner.activation(y),
    ...(g !== undefined && { g_in: planner.region({ G: g }).slice }),
    ...(b !== undefined && { b_in: planner.region({ B: b }).slice }),
    ...(residual && { residual_in: residualIn ? { buffer: residualIn } : planner.activation(residual) }),
    ...(stats && { stats: { buffer: stats.buffer } }),
  };
}

function linearSettings(
  call: Linear,
  layout: LinearLayout,
  part: LinearPart,
  planner: Planner,
): KernelSettings {
  const { x, y, g, b, residual, stats, eps, scale } = call;
  const weight = weightSettings(layout, part);
  const vectors = [x.offset, planner.stride(x.buffer), layout.cols].every((n) => n % 4 === 0);
  return {
    flags: {
      ...weight.flags,
      SUBGROUPS: planner.features.subgroups > 0,
      X_VECTORS: vectors,
      NORM: g !== undefined,
      STATS: Boolean(stats),
      NORMED: g !== undefined || Boolean(stats),
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
      ...(stats && { N_STATS: stats.count }),
      NORM_COLS: stats?.cols ?? layout.cols,
    },
    floats: { ...weight.floats, SCALE: scale ?? 1, EPS: eps },
  };
}
