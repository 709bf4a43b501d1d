/** Which module to run: the vector instructions it is built for, and whether it is built for threads. */
export type Simd = 'scalar' | 'simd' | 'relaxed';
export type ModuleName = `edge.${Simd}` | `edge.${Simd}.threads` | 'edge.memory64';

/** `memory64`: 64-bit addresses, for which there is one module: relaxed SIMD, a shared memory. */
export function moduleName(simd: Simd, threaded: boolean, memory64 = false): ModuleName {
  if (memory64) return 'edge.memory64';
  return threaded ? `edge.${simd}.threads` : `edge.${simd}`;
}

// The smallest modules that need a feature: `() -> v128` of a popcount; `() -> i32` of a relaxed i8 × i7 dot,
// 1000 + 4 · 3 · 5; one with a shared memory; one with a shared memory of 64-bit addresses.
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98,
  11,
];
const RELAXED = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 23, 1, 21, 0,
  65, 3, 253, 15, 65, 5, 253, 15, 65, 232, 7, 253, 17, 253, 147, 2, 253, 27, 0, 11,
];
const RELAXED_RESULT = 1060;
const THREADS = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254,
  16, 2, 0, 26, 11,
];

const MEMORY64 = [0, 97, 115, 109, 1, 0, 0, 0, 5, 4, 1, 7, 0, 1];

const validates = (bytes: number[]) => WebAssembly.validate(Uint8Array.from(bytes));

/** Why nothing can be compiled here, or null. */
export function wasmObstacle(): string | null {
  if (typeof WebAssembly === 'undefined') return 'this runtime has no WebAssembly';
  try {
    new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)); // an empty one
    return null;
  } catch (cause) {
    return `${cause}; a Content-Security-Policy needs 'wasm-unsafe-eval' in script-src, also the one of workerUrl`;
  }
}

/** The best vector instructions that this runtime compiles, and what is wrong with better ones. */
export function detectSimd(): { simd: Simd; why: string } {
  if (!validates(SIMD)) return { simd: 'scalar', why: 'this runtime has no SIMD' };
  if (!validates(RELAXED)) return { simd: 'simd', why: 'SIMD is there, relaxed SIMD is not' };
  // Node 20 has it behind a flag, and its baseline compiler forgets the addend (120 instead of 1060).
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(RELAXED))).exports;
  if ((f as () => number)() !== RELAXED_RESULT)
    return { simd: 'simd', why: 'SIMD is there, relaxed SIMD computes wrong results' };
  return { simd: 'relaxed', why: 'relaxed SIMD is there' };
}

/** Does this runtime compile modules with shared memory? (Whether it also shares memory is the host's to know.) */
export function detectAtomics(): boolean {
  return validates(THREADS);
}

/** Does this runtime have shared memories of 64-bit addresses? */
export function detectMemory64(): boolean {
  return validates(MEMORY64);
}
