import { afterEach, describe, expect, test, vi } from 'vitest';
import { probe } from '../../src/backends/wasm/probe_dot.ts';

afterEach(() => void vi.restoreAllMocks());

/** Dots, on a clock of their own, of which sums of 16 bits take `sum16` times as long as those of 32. */
function dots(sum16: number) {
  let now = 0; // ms
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  return (_address: number, _rounds: number, is16: number) => {
    now += 0.02 * (is16 ? sum16 : 1);
    return 0;
  };
}

describe('the probe of integer dots', () => {
  test.each([
    [0.9, true],
    [1.1, false],
  ])('sums of 16 bits that take %d times as long win: %s', (sum16, wins) => {
    expect(probe(dots(sum16), 0)).toBe(wins);
  });
});
