import type { StateSpec } from '../../ops/program.ts';

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

/** Row i of the ring axis becomes what row `(i + by) mod n` was. */
function rotate(values: Float64Array, spec: StateSpec, by: number): Float64Array {
  if (spec.layout === 'dense') return values.slice();
  const axis = spec.layout.ringAxis;
  const n = spec.shape[axis]!;
  const inner = spec.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const shift = ((by % n) + n) % n;
  return values.map((_, index) => {
    const row = Math.floor(index / inner) % n;
    return values[index + (((row + shift) % n) - row) * inner]!;
  });
}
