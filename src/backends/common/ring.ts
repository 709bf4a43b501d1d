import type { StateSpec } from '../../ops/program.ts';
import { elementCount } from '../../weights/shape.ts';

/**
 * Copies a state whose rings turn: row i of the ring axis becomes what row `(i + by) mod n` was. After `position` tokens
 * ring row `position mod n` is the oldest, so `by = position` gives the canonical order, `by = −position` the stored one.
 */
export function rotateRing<T extends Float32Array | Float64Array>(
  from: T,
  to: T,
  spec: StateSpec,
  by: number,
): void {
  if (spec.layout === 'dense') {
    to.set(from);
    return;
  }
  const axis = spec.layout.ringAxis;
  const n = spec.shape[axis]!;
  const inner = elementCount(spec.shape.slice(axis + 1));
  const shift = ((by % n) + n) % n;
  for (let ring = 0; ring < from.length; ring += n * inner)
    for (let row = 0; row < n; row++) {
      const source = ring + ((row + shift) % n) * inner;
      to.set(from.subarray(source, source + inner), ring + row * inner);
    }
}
