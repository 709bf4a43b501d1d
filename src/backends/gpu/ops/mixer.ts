import type { Conv1dCall } from '../../../ops/conv1d.ts';
import type { GateNormCall } from '../../../ops/gate_norm.ts';
import type { OpCall } from '../../../ops/index.ts';
import type { LinearResidualCall } from '../../../ops/linear_residual.ts';
import type { SsdScanCall } from '../../../ops/ssd_scan.ts';
import type { Launch } from '../launch.ts';
import { isAligned } from '../linear_layout.ts';
import type { Planner } from '../planner.ts';
import { blocks, dtSettings, type SsdDims } from './mamba2.ts';
import { weightSettings, weightSlices } from './weight.ts';

/** conv1d, ssd_scan and gate_norm of one block, where the norm spans the whole row. */
export interface Mixer {
  conv: Conv1dCall;
  ssd: SsdScanCall;
  gate: GateNormCall;
}

/** The mixer that begins at call `index`, if these calls are one: each reads what the one before wrote. */
export function mixerAt(calls: readonly OpCall[], index: number): Mixer | null {
  const [conv, ssd, gate] = calls.slice(index, index + 3);
  if (conv?.op !== 'conv1d' || ssd?.op !== 'ssd_scan' || gate?.op !== 'gate_norm') return null;
  const bc = ssd.B.width;
  const inside = (offset: number, width: number) => ({
    buffer: conv.y.buffer,
    offset: conv.y.offset + offset,
    width,
  });
  const fits =
    same(ssd.x, inside(0, ssd.x.width)) &&
    same(ssd.B, inside(ssd.x.width, bc)) &&
    same(ssd.C, inside(ssd.x.width + bc, bc)) &&
    conv.y.width === ssd.x.width + 2 * bc &&
    same(gate.x, ssd.y) &&
    [ssd.dt, gate.z].every((view) => view.buffer === conv.x.buffer) &&
    gate.y.buffer !== conv.x.buffer &&
    conv.activation === 'silu' &&
    (gate.mode === 'gate' || gate.ngroups === 1);
  return fits ? { conv, ssd, gate } : null;
}

/** Are two views, or other plain objects, equal? */
export function same(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The norm that is left to the projection after a mixer. */
interface Norm {
  cols: number; // that it spans
  eps: number;
}

/** The sums of squares that `mamba2_decode` leaves for that projection. */
export interface Stats extends Norm {
  buffer: string;
  count: number; // of a row
}

/** A launch that replaces a mixer's in steps of one row a slot; `stats` is null where there is no norm. */
export function mamba2_decode(mixer: Mixer, planner: Planner): { launch: Launch; stats: Stats | null } {
  const { ssd, gate } = mixer;
  const dims = planner.dims(ssd) as unknown as SsdDims;
  const { count, constants } = blocks(dims, ssd.ngroups);
  const { settings, slices } = mixerBase(mixer, planner);
  const sums = dims.nheads * count;
  planner.shared('stats', 4 * planner.program.chunk * sums);
  const launch: Launch = {
    kernel: 'mamba2_decode',
    settings: {
      ...settings,
      constants: { ...settings.constants, ...constants, BLOCKS: count, ...planner.view('Y', gate.y) },
    },
    slices: { ...slices, y_out: planner.activation(gate.y), stats: { buffer: 'stats' } },
    workgroups: ({ rows }) => [count, dims.nheads, rows],
  };
  const norm = normOf(gate);
  return { launch, stats: norm && { buffer: 'stats', count: sums, ...norm } };
}

/** What workgroups of `mamba2_decode` leave of the only row's projection; whoever reads the residual next adds it up. */
export interface Shares {
  count: number;
  norm: Norm | null; // of what was projected
  scale: number;
}

const PROJECTED_BLOCK = 64; // channels: half as many shares as of MOST_BLOCK
const MOST_LOADS = 2; // units of four rows of W that a thread asks for at once
/** Bytes of all shares, which every workgroup of the next projection reads. */
const MOST_SHARES = 160 * 1024;

/** With the projection after it, for steps of one row; null where the shares would cost more than a launch. */
export function mamba2_project(
  mixer: Mixer,
  { w, b, scale = 1 }: LinearResidualCall,
  planner: Planner,
): { launch: Launch; shares: Shares } | null {
  const { ssd, gate } = mixer;
  const { layout, parts } = planner.linears.get(w)!;
  const part = parts[0]!;
  const dims = planner.dims(ssd) as unknown as SsdDims;
  const { maxThreads, maxWorkgroupMemory } = planner.features;
  const { count, constants } = blocks(dims, ssd.ngroups, PROJECTED_BLOCK, maxThreads);
  const { BLOCK: block, SLICES: slices } = constants;
  const unit = 4 * layout.wordCols;
  const units = block / unit;
  const items = (part.rows / 4) * units;
  const loads = Math.ceil(items / (block * slices));
  const shares = dims.nheads * count;
  const bytes = shares * (4 * part.rows + 16);
  const memory = 4 * (2 * dims.d_state + block * slices + 2 * block + (unit + 4) * units + 4 * items);
  const fits =
    layout.format.kind === 'quant' &&
    isAligned(layout) &&
    [units, items, dims.headdim / block].every(Number.isInteger) &&
    b === undefined &&
    parts.length === 1 &&
    loads <= MOST_LOADS &&
    bytes <= MOST_SHARES &&
    memory <= maxWorkgroupMemory;
  if (!fits) return null;
  planner.shared('shares', bytes);
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
    slices: { ...base.slices, ...weightSlices(part), shares: { buffer: 'shares' } },
    workgroups: ({ rows }) => (rows === 1 ? [count, dims.nheads, 1] : null),
  };
  return { launch, shares: { count: shares, norm: normOf(gate), scale } };
}

function normOf({ mode, y, eps }: GateNormCall): Norm | null {
  return mode === 'gate' ? null : { cols: y.width, eps };
}

/** What both have of a mixer. */
function mixerBase({ conv, ssd, gate }: Mixer, planner: Planner): Pick<Launch, 'settings' | 'slices'> {
  const dims = planner.dims(ssd) as unknown as SsdDims;
  const { k } = planner.dims(conv) as { k: number };
  const region = planner.region({
    V_WEIGHT: conv.weight,
    V_BIAS: conv.bias,
    V_DT_BIAS: ssd.dtBias,
    V_A: ssd.A,
    V_D: ssd.D,
    V_G: gate.g,
  });
  const { flags, floats } = dtSettings(ssd);
  return {
    settings: {
      flags: {
        ...flags,
        HAS_BIAS: conv.bias !== undefined,
        D_PER_CHANNEL: dims.d !== dims.nheads,
        NORM: gate.mode !== 'gate',
        NORM_FIRST: gate.mode === 'norm_then_gate',
        GATE_FIRST: gate.mode === 'gate_then_norm',
      },
      floats,
      constants: {
        ...planner.batch,
        K: k,
        TAPS: k - 1, // of earlier inputs
        P_STRIDE: planner.stride(conv.x.buffer),
        XBC_OFFSET: conv.x.offset,
        DT_OFFSET: ssd.dt.offset,
        Z_OFFSET: gate.z.offset,
        ...region.offsets,
      },
    },
    slices: {
      batch: { buffer: 'batch' },
      projection: planner.activation(conv.x),
      v: region.slice,
      ring: planner.state(conv.state),
      state: planner.state(ssd.state),
    },
  };
}
