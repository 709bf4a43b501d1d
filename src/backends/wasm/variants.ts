/** Which module to run: the vector instructions it is built for, and whether it is built for threads. */
export type Simd = 'scalar' | 'simd' | 'relaxed';
export type ModuleName = `edge.${Simd}` | `edge.${Simd}.threads`;

export function moduleName(simd: Simd, threaded: boolean): ModuleName {
  return threaded ? `edge.${simd}.threads` : `edge.${simd}`;
}

/** The smallest modules that need a feature: `() -> v128` of a popcount, of a relaxed i8 × i7 dot; a shared memory. */
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98,
  11,
];
const RELAXED = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2,
  253, 15, 253, 146, 2, 11,
];
const THREADS = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254,
  16, 2, 0, 26, 11,
];

const validates = (bytes: number[]) => WebAssembly.validate(Uint8Array.from(bytes));

/** The best vector instructions that this runtime compiles. */
export function detectSimd(): Simd {
  if (!validates(SIMD)) return 'scalar';
  return validates(RELAXED) ? 'relaxed' : 'simd';
}

/** Does this runtime compile modules with shared memory? (Whether it also shares memory is the host's to know.) */
export function detectAtomics(): boolean {
  return validates(THREADS);
}
