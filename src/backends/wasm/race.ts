import type { Kernels } from './module.ts';

const ROUNDS = 500; // of a call: some µs
const SLICE_MS = 0.5;
const SLICES = 4;

let known: boolean | undefined; // a processor stays what it is

/**
 * Whether integer dots are faster here with sums of 16 bits (wasm/linear/race.c): both are run in turn for a few ms,
 * once in a thread's life. They give the same bits.
 */
export function narrowIsFaster({ race }: Kernels, address: number): boolean {
  if (!race) return false;
  known ??= winner(race, address);
  return known;
}

/** The same, run now. */
export function winner(race: NonNullable<Kernels['race']>, address: number): boolean {
  const best = [0, 0]; // calls a ms
  for (let slice = 0; slice < SLICES; slice++)
    for (const narrow of [0, 1]) {
      const begin = performance.now();
      let calls = 0;
      let ms = 0;
      for (; ms < SLICE_MS; ms = performance.now() - begin, calls++) race(address, ROUNDS, narrow);
      best[narrow] = Math.max(best[narrow]!, calls / ms);
    }
  return best[1]! > best[0]!;
}
