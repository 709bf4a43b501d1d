import type { Program, StateSpec } from '../../ops/program.ts';
import { elementCount } from '../../weights/shape.ts';
import { rotateRing } from '../common/ring.ts';
import { ceilTo } from './memory.ts';

/** The widest block of channels that the SSM state interleaves; SSD_BLOCK of wasm/ops/ssd_scan.h. */
const SSD_BLOCK = 16;

/** How one slot of a state lies in memory, against its canonical order. */
export interface StateLayout {
  floats: number; // stored
  values: number; // canonical
  /** Canonical order, from what is stored at `position`. */
  read(stored: Float32Array, position: number): Float32Array;
  write(stored: Float32Array, position: number, canonical: Float32Array): void;
}

/** The layout of a program's state; the one of `ssd_scan` is blocked, see wasm/ops/ssd_scan.h. */
export function stateLayout(program: Program, name: string): StateLayout {
  const spec = program.states[name]!;
  const blocked = program.calls.some((call) => call.op === 'ssd_scan' && call.state === name);
  if (blocked) return ssdLayout(spec.shape as [number, number, number]);
  return plainLayout(spec);
}

/** Canonical and stored alike, but for where the oldest row of a ring is. */
function plainLayout(spec: StateSpec): StateLayout {
  const values = elementCount(spec.shape);
  return {
    floats: values,
    values,
    read(stored, position) {
      const canonical = new Float32Array(values);
      rotateRing<Float32Array>(stored.subarray(0, values), canonical, spec, position);
      return canonical;
    },
    write: (stored, position, canonical) => rotateRing(canonical, stored, spec, -position),
  };
}

/** Canonical [nheads, headdim, d_state]; stored [nheads][⌈headdim / 16⌉][d_state][16], the last block narrower. */
function ssdLayout([nheads, headdim, d_state]: [number, number, number]): StateLayout {
  const padded = ceilTo(headdim, 4);
  const each = (visit: (stored: number, canonical: number, stride: number) => void) => {
    for (let h = 0; h < nheads; h++)
      for (let p = 0; p < headdim; p++) {
        const block = p - (p % SSD_BLOCK);
        const width = Math.min(SSD_BLOCK, padded - block);
        visit((h * padded + block) * d_state + (p % SSD_BLOCK), (h * headdim + p) * d_state, width);
      }
  };
  return {
    floats: nheads * padded * d_state,
    values: nheads * headdim * d_state,
    read(stored) {
      const canonical = new Float32Array(nheads * headdim * d_state);
      each((from, to, stride) => {
        for (let n = 0; n < d_state; n++) canonical[to + n] = stored[from + n * stride]!;
      });
      return canonical;
    },
    write(stored, _position, canonical) {
      stored.fill(0);
      each((to, from, stride) => {
        for (let n = 0; n < d_state; n++) stored[to + n * stride] = canonical[from + n]!;
      });
    },
  };
}
