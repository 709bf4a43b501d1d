import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

const MIB = 2 ** 20;
const child = new URL('load_large_child.mjs', import.meta.url).pathname;

interface Loaded {
  fileBytes: number;
  before: number; // resident before the load
  peak: number;
  weightBytes: number;
  stateBytes: number;
  totalBytes: number;
  parameters: number;
  loadMs: number;
  reports: Record<'open' | 'weights' | 'ready', number>;
  total: number;
  estimates: { loaded: number; ms: number; remainingMs: number }[];
  ids: number[];
}

test('a 2.7b of 5.4 GB, float16, loads as q4 in its own size and 400 MiB', () => {
  const output = execFileSync(process.execPath, [child], { maxBuffer: 64 * MIB });
  const seen = JSON.parse(String(output)) as Loaded;
  const { fileBytes, before, peak, weightBytes, stateBytes, parameters, loadMs, reports, estimates } = seen;
  const mib = (bytes: number) => `${(bytes / MIB).toFixed(0)} MiB`;
  console.log(
    `${(fileBytes / 1e9).toFixed(2)} GB, ${(parameters / 1e9).toFixed(2)} B parameters in ${(loadMs / 1000).toFixed(0)} s: ` +
      `weights ${mib(weightBytes)}, state ${mib(stateBytes)}, resident ${mib(before)} before, ${mib(peak)} at most`,
  );
  expect(fileBytes).toBeGreaterThan(5.3e9);
  expect(weightBytes).toBeLessThan(0.3 * fileBytes);
  expect(peak).toBeGreaterThan(weightBytes); // it is all there
  expect(peak).toBeLessThan(weightBytes + stateBytes + 400 * MIB);
  expect(seen.ids).toHaveLength(3);

  expect(reports).toMatchObject({ open: 1, ready: 1 });
  expect(reports.weights).toBeGreaterThan(1000);
  expect(Math.abs(seen.total - fileBytes)).toBeLessThan(MIB); // but for the header
  expect(estimates.at(-1)!.remainingMs).toBe(0);
  for (const { loaded, remainingMs } of estimates) {
    expect(remainingMs).toBeGreaterThanOrEqual(0);
    expect(loaded).toBeLessThanOrEqual(seen.total);
  }
  const half = estimates.find(({ loaded }) => loaded >= seen.total / 2)!;
  expect(half.remainingMs / half.ms).toBeGreaterThan(0.5); // as long again, but for the start of the worker
  expect(half.remainingMs / half.ms).toBeLessThan(1.05);
}, 900_000);
