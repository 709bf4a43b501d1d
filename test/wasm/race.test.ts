import { afterEach, describe, expect, test, vi } from 'vitest';
import { winner } from '../../src/backends/wasm/race.ts';

afterEach(() => void vi.restoreAllMocks());

/** A race, on a clock of its own, in which sums of 16 bits take `narrow` times as long as those of 32. */
function race(narrow: number) {
  let now = 0; // ms
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  return (_address: number, _rounds: number, isNarrow: number) => {
    now += 0.02 * (isNarrow ? narrow : 1);
    return 0;
  };
}

describe('the race of integer dots', () => {
  test.each([
    [0.9, true],
    [1.1, false],
  ])('sums of 16 bits that take %d times as long win: %s', (narrow, wins) => {
    expect(winner(race(narrow), 0)).toBe(wins);
  });
});
