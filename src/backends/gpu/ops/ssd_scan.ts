import type { SsdScanCall } from '../../../ops/ssd_scan.ts';
import type { KernelSettings, Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';

export interface SsdDims {
  nheads: number;
  headdim: number;
  d_state: number;
  d: number;
}

/** How the work of each head is cut, and the constants that say so. */
export function cutHeads(
  { nheads, headdim, d_state }: SsdDims,
  ngroups: number,
  channels: number, // of a workgroup, at most
  { tuning, features }: Planner,
) {
  const block = Math.min(channels, 2 ** Math.ceil(Math.log2(headdim)));
  const slices = Math.min(tuning.ssdScan.slices, Math.floor(features.maxThreads / block));
  return {
    count: Math.ceil(headdim / block), // blocks of a head
    constants: {
      NHEADS: nheads,
      HEADDIM: headdim,
      D_STATE: d_state,
      NGROUPS: ngroups,
      BLOCK: block,
      SLICES: slices,
      SLICE: Math.ceil(d_state / slices),
    },
  };
}

export function dtSettings({
  dtMin,
  dtMax,
}: SsdScanCall): Required<Pick<KernelSettings, 'flags' | 'floats'>> {
  const limited = dtMax !== Number.POSITIVE_INFINITY;
  return { flags: { DT_LIMIT: limited }, floats: { DT_MIN: dtMin, ...(limited && { DT_MAX: dtMax }) } };
}

export function ssd_scan(call: SsdScanCall, planner: Planner): Launch[] {
  const { x, B, C, dt, y, dtBias, A, D, state, ngroups } = call;
  const dims = planner.dims(call) as unknown as SsdDims;
  const { channels, rows } = planner.tuning.ssdScan;
  const { count, constants } = cutHeads(dims, ngroups, channels, planner);
  const region = planner.region({ V_DT_BIAS: dtBias, V_A: A, V_D: D });
  const { BLOCK, SLICES } = constants;
  const VECTORS = Math.ceil(constants.SLICE / 4); // of states, that a thread has
  const SLICE = 4 * VECTORS;
  const rowBytes = 4 * (2 * SLICE * SLICES + BLOCK * SLICES + BLOCK + 2); // of workgroup memory
  const fit = Math.floor(planner.features.maxWorkgroupMemory / rowBytes);
  const tile = Math.max(1, Math.min(rows, BLOCK * SLICES, fit));
  const { flags, floats } = dtSettings(call);
  const wholes = [dims.d_state, ...[B, C].flatMap(({ buffer, offset }) => [offset, planner.stride(buffer)])];
  return [
    {
      kernel: 'ssd_scan',
      settings: {
        flags: {
          ...flags,
          D_PER_CHANNEL: dims.d !== dims.nheads,
          BC_VECTORS: wholes.every((n) => n % 4 === 0),
        },
        floats,
        constants: {
          ...planner.batch,
          ...constants,
          SLICE,
          VECTORS,
          TILE: tile,
          LOADS: Math.ceil((tile * VECTORS) / BLOCK), // vec4s of B and of C, a thread and tile
          X_LOADS: Math.ceil(tile / SLICES),
          ...planner.view('X', x),
          ...planner.view('B', B),
          ...planner.view('C', C),
          ...planner.view('DT', dt),
          ...planner.view('Y', y),
          ...region.offsets,
        },
      },
      slices: {
        batch: { buffer: 'batch' },
        x_in: planner.activation(x),
        b_in: planner.activation(B),
        c_in: planner.activation(C),
        dt_in: planner.activation(dt),
        v: region.slice,
        state: planner.state(state),
        y_out: planner.activation(y),
      },
      workgroups: ({ segments }) => [count, dims.nheads, segments],
    },
  ];
}
