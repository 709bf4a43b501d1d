import type { Conv1dCall } from '../../../ops/conv1d.ts';
import type { GateNormCall } from '../../../ops/gate_norm.ts';
import type { OpCall } from '../../../ops/index.ts';
import type { SsdScanCall } from '../../../ops/ssd_scan.ts';
import type { Launch, Plan } from '../plan.ts';
import type { Settings } from '../wgsl.ts';

const SLICES = 8; // threads that share a channel's states
const MOST_BLOCK = 32; // channels of a workgroup
const MOST_TILE = 16; // rows whose B and C lie in workgroup memory

export function conv1d(call: Conv1dCall, plan: Plan): Launch[] {
  const { x, y, weight, bias, state, activation } = call;
  const { channels, k } = plan.dims(call) as { channels: number; k: number };
  const region = plan.region({ V_WEIGHT: weight, V_BIAS: bias });
  const constants = { ...plan.batch, CHANNELS: channels, K: k, ...plan.view('X', x) };
  const batch = { buffer: 'batch' };
  const groups = Math.ceil(channels / 256);
  return [
    {
      entry: 'conv1d',
      settings: {
        flags: { HAS_BIAS: bias !== undefined, SILU: activation === 'silu' },
        constants: { ...constants, ...plan.view('Y', y), ...region.offsets },
      },
      slices: {
        batch,
        x_in: plan.activation(x),
        ring: plan.state(state),
        v: region.slice,
        y_out: plan.activation(y),
      },
      workgroups: ({ rows }) => [groups, rows, 1],
    },
    {
      entry: 'conv1d',
      settings: { flags: { RING: true }, constants },
      slices: { batch, x_in: plan.activation(x), ring: plan.state(state) },
      workgroups: ({ segments }) => [groups, segments * k, 1],
    },
  ];
}

interface SsdDims {
  nheads: number;
  headdim: number;
  d_state: number;
  d: number;
}

/** How the work of a head is cut, and the constants that say so. */
function blocks(dims: SsdDims, ngroups: number) {
  const { nheads, headdim, d_state } = dims;
  const block = Math.min(MOST_BLOCK, 2 ** Math.ceil(Math.log2(headdim)));
  const slice = Math.ceil(d_state / SLICES);
  return {
    count: Math.ceil(headdim / block),
    constants: {
      NHEADS: nheads,
      HEADDIM: headdim,
      D_STATE: d_state,
      NGROUPS: ngroups,
      BLOCK: block,
      SLICES,
      SLICE: slice,
    },
  };
}

function dtSettings({ dtMin, dtMax }: SsdScanCall): Required<Pick<Settings, 'flags' | 'floats'>> {
  const limited = dtMax !== Number.POSITIVE_INFINITY;
  return { flags: { DT_LIMIT: limited }, floats: { DT_MIN: dtMin, ...(limited && { DT_MAX: dtMax }) } };
}

export function ssd_scan(call: SsdScanCall, plan: Plan): Launch[] {
  const { x, B, C, dt, y, dtBias, A, D, state, ngroups } = call;
  const dims = plan.dims(call) as unknown as SsdDims;
  const { count, constants } = blocks(dims, ngroups);
  const region = plan.region({ V_DT_BIAS: dtBias, V_A: A, V_D: D });
  const { BLOCK } = constants;
  const VECTORS = Math.ceil(constants.SLICE / 4); // of states, that a thread has
  const SLICE = 4 * VECTORS;
  const rowBytes = 4 * (2 * SLICE * SLICES + BLOCK * SLICES + BLOCK + 2); // of workgroup memory
  const fit = Math.floor(plan.features.maxWorkgroupMemory / rowBytes);
  const tile = Math.max(1, Math.min(MOST_TILE, BLOCK * SLICES, fit));
  const { flags, floats } = dtSettings(call);
  return [
    {
      entry: 'ssd_scan',
      settings: {
        flags: { ...flags, D_PER_CHANNEL: dims.d !== dims.nheads },
        floats,
        constants: {
          ...plan.batch,
          ...constants,
          SLICE,
          VECTORS,
          TILE: tile,
          LOADS: Math.ceil((tile * SLICE) / BLOCK), // of B and of C, a thread and tile
          X_LOADS: Math.ceil(tile / SLICES),
          ...plan.view('X', x),
          ...plan.view('B', B),
          ...plan.view('C', C),
          ...plan.view('DT', dt),
          ...plan.view('Y', y),
          ...region.offsets,
        },
      },
      slices: {
        batch: { buffer: 'batch' },
        x_in: plan.activation(x),
        b_in: plan.activation(B),
        c_in: plan.activation(C),
        dt_in: plan.activation(dt),
        v: region.slice,
        state: plan.state(state),
        y_out: plan.activation(y),
      },
      workgroups: ({ segments }) => [count, dims.nheads, segments],
    },
  ];
}

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
  const same = (a: object, b: object) => JSON.stringify(a) === JSON.stringify(b);
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

/** The sums of squares that `mamba2_decode` leaves for the projection after it. */
export interface Stats {
  buffer: string;
  count: number; // of a row
  cols: number; // that the norm spans
  eps: number;
}

/** Launches that replace a mixer's in steps of one row a slot; `stats` is null where there is no norm. */
export function mamba2_decode(mixer: Mixer, plan: Plan): { launch: Launch; stats: Stats | null } {
  const { conv, ssd, gate } = mixer;
  const dims = plan.dims(ssd) as unknown as SsdDims;
  const { count, constants } = blocks(dims, ssd.ngroups);
  const { k } = plan.dims(conv) as { k: number };
  const region = plan.region({
    V_WEIGHT: conv.weight,
    V_BIAS: conv.bias,
    V_DT_BIAS: ssd.dtBias,
    V_A: ssd.A,
    V_D: ssd.D,
    V_G: gate.g,
  });
  const { flags, floats } = dtSettings(ssd);
  const sums = dims.nheads * count;
  plan.shared('stats', 4 * plan.program.chunk * sums);
  const launch: Launch = {
    entry: 'mamba2_decode',
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
        ...plan.batch,
        ...constants,
        K: k,
        TAPS: k - 1, // of earlier inputs
        BLOCKS: count,
        P_STRIDE: plan.stride(conv.x.buffer),
        XBC_OFFSET: conv.x.offset,
        DT_OFFSET: ssd.dt.offset,
        Z_OFFSET: gate.z.offset,
        ...plan.view('Y', gate.y),
        ...region.offsets,
      },
    },
    slices: {
      batch: { buffer: 'batch' },
      projection: plan.activation(conv.x),
      v: region.slice,
      ring: plan.state(conv.state),
      state: plan.state(ssd.state),
      y_out: plan.activation(gate.y),
      stats: { buffer: 'stats' },
    },
    workgroups: ({ rows }) => [count, dims.nheads, rows],
  };
  const stats =
    gate.mode === 'gate' ? null : { buffer: 'stats', count: sums, cols: gate.y.width, eps: gate.eps };
  return { launch, stats };
}
