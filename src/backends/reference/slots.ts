import type { StateSpec } from '../../ops/program.ts';
import { rotateRing } from '../common/ring.ts';

/**
 * A state as stored, in canonical order. Ring row `position mod n` is the oldest; after `position` tokens a ring
 * of n rows holds the positions from `position − n` on, those below 0 being the zeros of a fresh slot.
 */
export function toCanonical(stored: Float64Array, spec: StateSpec, position: number): Float64Array {
  return rotate(stored, spec, position);
}

/** The inverse of `toCanonical`. */
export function fromCanonical(canonical: Float64Array, spec: StateSpec, position: number): Float64Array {
  return rotate(canonical, spec, -position);
}

function rotate(values: Float64Array, spec: StateSpec, by: number): Float64Array {
  const to = new Float64Array(values.length);
  rotateRing(values, to, spec, by);
  return to;
}
