import type { Program, StateSpec } from '../../ops/program.ts';
import { elementCount } from '../../weights/shape.ts';
import { rotateRing } from '../common/ring.ts';

/** How one slot of a state lies in its buffer, against its canonical order. */
export interface StateLayout {
  values: number;
  /** Canonical order, from what is stored at `position`. */
  read(stored: Float32Array, position: number): Float32Array;
  write(position: number, canonical: Float32Array): Float32Array<ArrayBuffer>;
}

/** The layout of a program's state; the one of `ssd_scan` is [nheads][d_state][headdim], so that neighbouring threads have neighbouring channels. */
export function stateLayout(program: Program, name: string): StateLayout {
  const spec = program.states[name]!;
  const transposed = program.calls.some((call) => call.op === 'ssd_scan' && call.state === name);
  const values = elementCount(spec.shape);
  if (transposed) {
    const [, headdim, d_state] = spec.shape as [number, number, number];
    return {
      values,
      read: (stored) => transpose(stored, d_state, headdim),
      write: (_position, canonical) => transpose(canonical, headdim, d_state),
    };
  }
  return {
    values,
    read: (stored, position) => rotate(stored, spec, position),
    write: (position, canonical) => rotate(canonical, spec, -position),
  };
}

/** [n, rows, cols] as [n, cols, rows]. */
function transpose(from: Float32Array, rows: number, cols: number): Float32Array<ArrayBuffer> {
  const to = new Float32Array(from.length);
  for (let base = 0; base < from.length; base += rows * cols)
    for (let c = 0; c < cols; c++)
      for (let r = 0; r < rows; r++) to[base + c * rows + r] = from[base + r * cols + c]!;
  return to;
}

function rotate(from: Float32Array, spec: StateSpec, by: number): Float32Array<ArrayBuffer> {
  const to = new Float32Array(from.length);
  rotateRing<Float32Array>(from, to, spec, by);
  return to;
}
