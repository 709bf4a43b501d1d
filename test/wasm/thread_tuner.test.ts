import { describe, expect, test } from 'vitest';
import { ThreadTuner } from '../../src/backends/wasm/thread_tuner.ts';

/** Runs steps whose time depends on the threads; returns the threads that each got. */
function run(tuner: ThreadTuner, steps: number, ms: (threads: number) => number, rows = 1): number[] {
  return Array.from({ length: steps }, () => {
    const threads = tuner.threads(rows, 2);
    tuner.record(rows, threads, ms(threads));
    return threads;
  });
}

const share = (threads: number[]) => threads.filter((n) => n === 1).length / threads.length;

describe('tuner', () => {
  test('where the pool is faster, one step at most runs alone', () => {
    const threads = run(new ThreadTuner(), 1000, (n) => 10 / n);
    expect(threads.filter((n) => n === 1).length).toBe(1);
  });

  test('where the pool is slower, most steps run alone', () => {
    expect(share(run(new ThreadTuner(), 1000, (n) => (n === 1 ? 10 : 40)))).toBeGreaterThan(0.9);
  });

  test('follows a machine that becomes busy and quiet again', () => {
    const tuner = new ThreadTuner();
    run(tuner, 100, (n) => 10 / n);
    expect(share(run(tuner, 500, (n) => (n === 1 ? 12 : 60)))).toBeGreaterThan(0.85);
    run(tuner, 60, (n) => 10 / n);
    expect(share(run(tuner, 500, (n) => 10 / n))).toBeLessThan(0.1);
  });

  test('sizes are judged apart, and one thread is no question', () => {
    const tuner = new ThreadTuner();
    expect(share(run(tuner, 500, (n) => (n === 1 ? 10 : 40), 1))).toBeGreaterThan(0.9);
    expect(share(run(tuner, 500, (n) => 100 / n, 64))).toBeLessThan(0.1);
    expect(tuner.threads(1, 1)).toBe(1);
  });
});
