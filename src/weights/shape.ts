/** How many values a shape holds; Infinity rather than a rounded product where that is absurd. */
export function elementCount(shape: readonly number[]): number {
  if (shape.includes(0)) return 0;
  const count = shape.reduce((a, b) => a * b, 1);
  return Number.isSafeInteger(count) ? count : Number.POSITIVE_INFINITY;
}
