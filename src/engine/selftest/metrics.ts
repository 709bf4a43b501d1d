import type { Numerics } from '../../types.ts';

/** Relative error of the logits that a backend may have against the reference. */
export const TOLERANCE: Record<Numerics, number> = { exact: 1e-4, i16: 2e-3, i8: 1e-1 };

/** ‖a − b‖ / ‖b‖; NaN if anything is. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** 24 bits at a time, the same on every machine. */
export function pseudoRandomBits(): () => number {
  let x = 1;
  return () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return x >>> 8;
  };
}
