import type { Kernels } from './module.ts';

const ROUNDS = 500; // of a call: some µs
const SLICE_MS = 0.5;
const SLICES = 4;

let known: boolean | undefined; // a processor stays what it is

/**
 * Whether integer dots are faster here with sums of 16 bits (wasm/linear/probe_dot.c): both are run in turn for a few ms,
 * once in a thread's life. They give the same bits.
 */
export function sum16IsFaster({ probe_dot }: Kernels, address: number): boolean {
  if (!probe_dot) return false;
  known ??= probe(probe_dot, address);
  return known;
}

/** Are sums of 16 bits faster, measured now? */
export function probe(dots: NonNullable<Kernels['probe_dot']>, address: number): boolean {
  const best = [0, 0]; // calls a ms
  for (let slice = 0; slice < SLICES; slice++)
    for (const sum16 of [0, 1]) {
      const begin = performance.now();
      let calls = 0;
      let ms = 0;
      for (; ms < SLICE_MS; ms = performance.now() - begin, calls++) dots(address, ROUNDS, sum16);
      best[sum16] = Math.max(best[sum16]!, calls / ms);
    }
  return best[1]! > best[0]!;
}
