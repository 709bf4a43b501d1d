import { describe, expect, test } from 'vitest';
import { Pace } from '../../src/backends/wasm/pace.ts';

/** Runs steps whose time depends on the threads; returns the threads that each got. */
function run(pace: Pace, steps: number, ms: (threads: number) => number, rows = 1): number[] {
  return Array.from({ length: steps }, () => {
    const threads = pace.threads(rows, 2);
    pace.record(rows, threads, ms(threads));
    return threads;
  });
}

const share = (threads: number[]) => threads.filter((n) => n === 1).length / threads.length;

describe('pace', () => {
  test('where the team is faster, one step at most runs alone', () => {
    const threads = run(new Pace(), 1000, (n) => 10 / n);
    expect(threads.filter((n) => n === 1).length).toBe(1);
  });

  test('where the team is slower, most steps run alone', () => {
    expect(share(run(new Pace(), 1000, (n) => (n === 1 ? 10 : 40)))).toBeGreaterThan(0.9);
  });

  test('follows a machine that becomes busy and quiet again', () => {
    const pace = new Pace();
    run(pace, 100, (n) => 10 / n);
    expect(share(run(pace, 500, (n) => (n === 1 ? 12 : 60)))).toBeGreaterThan(0.85);
    run(pace, 60, (n) => 10 / n);
    expect(share(run(pace, 500, (n) => 10 / n))).toBeLessThan(0.1);
  });

  test('sizes are judged apart, and one thread is no question', () => {
    const pace = new Pace();
    expect(share(run(pace, 500, (n) => (n === 1 ? 10 : 40), 1))).toBeGreaterThan(0.9);
    expect(share(run(pace, 500, (n) => 100 / n, 64))).toBeLessThan(0.1);
    expect(pace.threads(1, 1)).toBe(1);
  });
});
