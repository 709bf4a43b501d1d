import { describe, expect, test } from 'vitest';
import { winner } from '../../src/backends/wasm/race.ts';

/** A race in which sums of 16 bits take `narrow` times as long as those of 32. */
const race = (narrow: number) => (_address: number, _rounds: number, isNarrow: number) => {
  const end = performance.now() + 0.02 * (isNarrow ? narrow : 1);
  while (performance.now() < end);
  return 0;
};

describe('the race of integer dots', () => {
  test('the faster wins', () => {
    expect(winner(race(0.4), 0)).toBe(true);
    expect(winner(race(2.5), 0)).toBe(false);
  });
});
