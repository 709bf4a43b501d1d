import type { Conv1dCall } from '../../../ops/conv1d.ts';
import type { GateNormCall } from '../../../ops/gate_norm.ts';
import type { OpCall } from '../../../ops/index.ts';
import type { SsdScanCall } from '../../../ops/ssd_scan.ts';
import type { Launch } from '../launch.ts';
import { dtSettings, type SsdDims } from '../ops/ssd_scan.ts';
import type { Planner } from '../planner.ts';

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
export interface Norm {
  cols: number; // that it spans
  eps: number;
}

export function normOf({ mode, y, eps }: GateNormCall): Norm | null {
  return mode === 'gate' ? null : { cols: y.width, eps };
}

/** What both kernels of a mixer have. */
export function mixerBase({ conv, ssd, gate }: Mixer, planner: Planner): Pick<Launch, 'settings' | 'slices'> {
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
