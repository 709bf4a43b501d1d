import type { OpContract, View } from './contract.ts';

/**
 * The Mamba-2 recurrence (arXiv 2405.21060), one head h of group g = ⌊h · ngroups / nheads⌋ at a time:
 *
 *     dt = clamp(softplus(dt + dt_bias), dtMin, dtMax)
 *     H[p, n] = exp(dt · A) · H[p, n] + dt · x[p] · B[n]
 *     y[p] = Σ_n C[n] · H[p, n] + D · x[p]
 *
 * A segment of one row is the decode update, which backends may do in a kernel of its own (`ssd_update`).
 * `D` is per head, or per head and channel.
 */
export interface SsdScanCall {
  op: 'ssd_scan';
  x: View; // [rows, nheads · headdim]
  B: View; // [rows, ngroups · d_state]
  C: View; // [rows, ngroups · d_state]
  dt: View; // [rows, nheads]
  dtBias: string; // weight [nheads]
  A: string; // weight [nheads], negative: −exp(A_log)
  D: string; // weight [nheads] or [nheads · headdim]
  state: string; // state [nheads, headdim, d_state]
  y: View; // [rows, nheads · headdim]
  ngroups: number;
  dtMin: number;
  dtMax: number; // Infinity: no upper limit
}

export const ssd_scan: OpContract<SsdScanCall> = {
  name: 'ssd_scan',
  operands: {
    x: { kind: 'activation', access: 'read', shape: ['rows', 'd_inner'] },
    B: { kind: 'activation', access: 'read', shape: ['rows', 'bc'] },
    C: { kind: 'activation', access: 'read', shape: ['rows', 'bc'] },
    dt: { kind: 'activation', access: 'read', shape: ['rows', 'nheads'] },
    dtBias: { kind: 'weight', access: 'read', shape: ['nheads'] },
    A: { kind: 'weight', access: 'read', shape: ['nheads'] },
    D: { kind: 'weight', access: 'read', shape: ['d'] },
    state: { kind: 'state', access: 'readwrite', shape: ['nheads', 'headdim', 'd_state'] },
    y: { kind: 'activation', access: 'write', shape: ['rows', 'd_inner'] },
  },
  check(call, dim) {
    if (dim.d_inner !== dim.nheads! * dim.headdim!) return `d_inner ${dim.d_inner} is not nheads · headdim`;
    if (dim.bc !== call.ngroups * dim.d_state!) return `B and C are ${dim.bc} wide, not ngroups · d_state`;
    if (dim.nheads! % call.ngroups !== 0) return `nheads ${dim.nheads} is not a multiple of ngroups`;
    if (dim.d !== dim.nheads && dim.d !== dim.d_inner) return `D has ${dim.d} values`;
    return call.dtMin >= 0 && call.dtMax > call.dtMin ? null : `dt limits ${call.dtMin}, ${call.dtMax}`;
  },
  tolerance: { exact: 2e-5 },
};
