import type { View } from '../../../ops/contract.ts';
import type { EmbedCall } from '../../../ops/embed.ts';
import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import type { LogitsCall } from '../../../ops/logits.ts';
import type { NormLinearCall } from '../../../ops/norm_linear.ts';
import type { LinearLayout } from '../linear.ts';
import type { Launch, LinearPart, Plan, Shape } from '../plan.ts';
import type { Settings } from '../wgsl.ts';
import type { Stats } from './mamba2.ts';
import { MATRICES_FROM, matrixTiles, takesMatrices } from './matrix.ts';

const MOST_GROUPS = 65_535; // of a dimension
const BLOCK_ROWS = 4; // of W, that a team of threads has at a time in matvec
const MATVEC_GROUPS = 48; // workgroups of matvec that a GPU wants at least
const MATMUL_GROUPS = 256; // of matmul
const MATVEC_THREADS = 256;
const MANY_ROWS = 4096; // of W: enough for teams of one subgroup, in smaller workgroups
const HALVES = { halves: { buffer: 'halves' }, factors: { buffer: 'factors' } }; // rows of x, for those
const FEW = 32; // rows of x that matvec takes: to read W again from the cache is no dearer than half-empty tiles

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
}

export function embed(call: EmbedCall, plan: Plan): Launch[] {
  const { layout, parts } = plan.linears.get(call.table)!;
  return parts.map((part) => ({
    entry: 'embed',
    settings: {
      flags: formatFlags(layout),
      constants: { ...plan.batch, ...formatConstants(layout, part), ...plan.view('Y', call.y) },
      floats: { SCALE: call.scale ?? 1, ...middle(layout) },
    },
    slices: {
      batch: { buffer: 'batch' },
      ...weightSlices(part),
      y_out: plan.activation(call.y),
    },
    workgroups: ({ rows }) => [Math.ceil(layout.cols / 64), rows, 1],
  }));
}

export function norm_linear(call: NormLinearCall, plan: Plan): Launch[] {
  return linear(call, plan);
}

export function linear_residual(call: LinearResidualCall, plan: Plan, stats: Stats | null = null): Launch[] {
  return linear({ ...call, eps: stats?.eps ?? 1, stats }, plan);
}

export function logits(call: LogitsCall, plan: Plan): Launch[] {
  return linear({ ...call, y: 'logits' }, plan);
}

/** For each part of the weight a kernel for few rows and some for many. */
function linear(call: Linear, plan: Plan): Launch[] {
  const { layout, parts } = plan.linears.get(call.w)!;
  const count = (shape: Shape) => (call.y === 'logits' ? shape.logitRows : shape.rows);
  const matrices = takesMatrices(layout, isAligned(layout), plan);
  const few = matrices ? MATRICES_FROM - 1 : FEW;
  const launches = parts.flatMap((part): Launch[] => {
    const slices = linearSlices(call, part, plan);
    const settings = linearSettings(call, layout, part, plan);
    const { packed, groups, constants, oneUnit } = teams(layout, part, plan);
    const matvec: Launch = {
      entry: packed ? 'matvec_packed' : 'matvec',
      settings: with_(settings, constants, { ONE_UNIT: oneUnit, PACKED: packed }),
      slices,
      workgroups(shape) {
        const rows = count(shape);
        if (rows < 1 || rows > few) return null;
        return [Math.min(groups, MOST_GROUPS), rows, Math.ceil(groups / MOST_GROUPS)];
      },
    };
    const many = matrices
      ? matrixTiles(part.rows, layout.wordCols, plan).map(({ constants, ...tile }) => ({
          ...tile,
          entry: 'matmul_matrix' as const,
          settings: with_(settings, constants, { MATRICES: true }),
        }))
      : tiles(part, plan).map(({ NJ, X_PITCH, ...tile }) => ({
          ...tile,
          entry: 'matmul' as const,
          settings: with_(settings, { NJ, X_PITCH }),
          rowsOfX: 64,
          rowsOfW: 64 * NJ,
        }));
    return [
      matvec,
      ...many.map(
        ({ entry, settings, rowsOfX, rowsOfW, from, to }): Launch => ({
          entry,
          settings,
          slices: matrices ? { ...slices, ...HALVES } : slices,
          workgroups(shape) {
            const rows = count(shape);
            if (rows < from || rows > to) return null;
            return [Math.ceil(part.rows / rowsOfW), Math.ceil(rows / rowsOfX), 1];
          },
        }),
      ),
    ];
  });
  if (!matrices) return launches;
  const halves: Launch = {
    entry: 'to_half',
    settings: with_(linearSettings(call, layout, parts[0]!, plan), { THREADS: 128 }),
    slices: { ...linearSlices(call, parts[0]!, plan), ...HALVES },
    workgroups: (shape) => (count(shape) < MATRICES_FROM ? null : [count(shape), 1, 1]),
  };
  return [halves, ...launches];
}

/**
 * How matvec cuts a weight: as many lanes as a row has vec4<u32>; several teams a workgroup, and blocks of rows a team
 * of few lanes, as long as there are workgroups for a whole GPU: they share the row of x. Measured on an H100.
 */
function teams(layout: LinearLayout, part: LinearPart, { features, numerics }: Plan) {
  const units = layout.rowWords / 4;
  const many = features.subgroups > 0 && part.rows >= MANY_ROWS;
  const lanes = many ? Math.max(32, features.subgroups) : lanesFor(units, features.subgroups);
  const most = Math.max(1, Math.floor(part.rows / (BLOCK_ROWS * MATVEC_GROUPS))); // blocks of a workgroup
  const teams = 2 ** Math.floor(Math.log2(Math.min(most, MATVEC_THREADS / (many ? 2 : 1) / lanes)));
  const blocks = most >= 16 * teams ? 2 : 1;
  const sums = (16 * blocks + 4) * (features.subgroups > 0 ? 64 : lanes * teams); // bytes of workgroup memory
  const room = features.maxWorkgroupMemory - sums;
  const eights = layout.wordCols / 2; // of a unit's columns
  const packed =
    numerics === 'i16' &&
    features.packedDots &&
    layout.format.kind === 'quant' &&
    isAligned(layout) &&
    units * 16 * (eights + 1) <= room;
  const fit = Math.floor(room / (16 * (layout.wordCols + 1))); // units of x as floats
  const tile = Math.min(units, fit < lanes ? fit : fit - (fit % lanes));
  return {
    packed,
    groups: Math.ceil(part.rows / (BLOCK_ROWS * teams * blocks)),
    oneUnit: blocks === 1 && units <= lanes && (packed || tile === units),
    constants: {
      LANES: lanes,
      TEAMS: teams,
      BLOCKS: blocks,
      MOST_GROUPS,
      ...(packed ? { EIGHTS: eights } : { TILE_UNITS: tile }),
    },
  };
}

/** Lanes of a team: whole subgroups, few of them idle; more than 32 hide more of the memory's latency. */
function lanesFor(units: number, subgroup: number): number {
  if (subgroup === 0) return Math.min(128, Math.max(32, 2 ** Math.ceil(Math.log2(units)))); // a tree of halves
  const step = Math.max(32, subgroup);
  const choices = Array.from({ length: Math.floor(128 / step) }, (_, i) => (i + 1) * step);
  const score = (lanes: number) => (units / (lanes * Math.ceil(units / lanes))) * (lanes > 32 ? 1.25 : 1);
  return choices.reduce((best, lanes) => (score(lanes) > score(best) ? lanes : best));
}

interface Tile {
  NJ: number; // 64s of rows of W
  X_PITCH: number;
  from: number; // rows of x for which it serves
  to: number;
}

/** What a workgroup of matmul makes: large tiles, where there is memory for them and enough of them. */
function tiles(part: LinearPart, { features, program }: Plan): Tile[] {
  if (features.maxWorkgroupMemory < 32_768) return [{ NJ: 1, X_PITCH: 16, from: FEW + 1, to: program.chunk }];
  const X_PITCH = 17; // an odd pitch spreads the transposing stores over the banks
  const wide = Math.ceil(MATMUL_GROUPS / Math.ceil(part.rows / 128)) * 64; // rows of x that make enough of them
  if (wide > program.chunk) return [{ NJ: 1, X_PITCH, from: FEW + 1, to: program.chunk }];
  return [
    { NJ: 1, X_PITCH, from: FEW + 1, to: wide - 1 },
    { NJ: 2, X_PITCH, from: wide, to: program.chunk },
  ];
}

function with_(
  settings: Settings,
  constants: Record<string, number>,
  flags: Record<string, boolean> = {},
): Settings {
  return {
    ...settings,
    flags: { ...settings.flags, ...flags },
    constants: { ...settings.constants, ...constants },
  };
}

function linearSlices(call: Linear, part: LinearPart, plan: Plan): Launch['slices'] {
  const { x, y, g, b, residual, stats } = call;
  return {
    batch: { buffer: 'batch' },
    ...weightSlices(part),
    x_in: plan.activation(x),
    y_out: y === 'logits' ? { buffer: 'logits' } : plan.activation(y),
    ...(g !== undefined && { g_in: plan.region({ G: g }).slice }),
    ...(b !== undefined && { b_in: plan.region({ B: b }).slice }),
    ...(residual && { residual_in: plan.activation(residual) }),
    ...(stats && { stats: { buffer: stats.buffer } }),
  };
}

function linearSettings(call: Linear, layout: LinearLayout, part: LinearPart, plan: Plan): Settings {
  const { x, y, g, b, residual, stats, eps, scale } = call;
  const { format, cols } = layout;
  const vectors = [x.offset, plan.stride(x.buffer), cols].every((n) => n % 4 === 0);
  const quant = format.kind === 'quant';
  return {
    flags: {
      ...formatFlags(layout),
      SUBGROUPS: plan.features.subgroups > 0,
      ALIGNED: isAligned(layout),
      X_VECTORS: vectors,
      NORM: g !== undefined,
      STATS: Boolean(stats),
      NORMED: g !== undefined || Boolean(stats),
      G: g !== undefined,
      BIAS: b !== undefined,
      RESIDUAL: residual !== undefined,
      OFFSETS: quant && format.hasBias,
      LOGITS: y === 'logits',
    },
    constants: {
      ...plan.batch,
      ...formatConstants(layout, part),
      ...(isAligned(layout) && { UNIT: 4 * layout.wordCols }),
      ...plan.view('X', x),
      ...(y === 'logits' ? { Y_STRIDE: plan.logitsStride, Y_OFFSET: 0 } : plan.view('Y', y)),
      ...(residual && plan.view('R', residual)),
      ...(stats && { N_STATS: stats.count }),
      NORM_COLS: stats?.cols ?? cols,
    },
    floats: {
      SCALE: scale ?? 1,
      EPS: eps,
      ...middle(layout),
      ...(quant && { CENTER_CODE: format.hasBias ? 0 : 2 ** (format.bits - 1) }),
    },
  };
}

/** Is every vec4<u32> of a row full, and inside one group? */
function isAligned({ format, cols, wordCols }: LinearLayout): boolean {
  const unit = 4 * wordCols;
  return cols % unit === 0 && (format.kind === 'float' || format.group % unit === 0);
}

function weightSlices({ words, numbers }: LinearPart): Launch['slices'] {
  return { words: { buffer: words }, ...(numbers !== null && { numbers: { buffer: numbers } }) };
}

function formatFlags({ format }: LinearLayout): Record<string, boolean> {
  if (format.kind === 'float') return { F32: format.dtype === 'f32', F16: format.dtype === 'f16' };
  return {
    QUANT: true,
    QUANT4: format.bits === 4,
    QUANT8: format.bits === 8,
    HAS_BIAS: format.hasBias,
    F32_SCALES: format.scaleDtype === 'f32',
  };
}

function formatConstants(layout: LinearLayout, { first, rows }: LinearPart): Record<string, number> {
  const { format, cols, rowWords, wordCols, groups } = layout;
  return {
    COLS: cols,
    ROWS: rows,
    FIRST: first,
    ROW_VECTORS: rowWords / 4,
    WORD_COLS: wordCols,
    ...(format.kind === 'quant' && { GROUP: format.group, GROUPS: groups, BITS: format.bits }),
  };
}

function middle({ format }: LinearLayout): Record<string, number> {
  return format.kind === 'quant' ? { MIDDLE: 2 ** (format.bits - 1) } : {};
}
