// Vectors of 16 bytes, implemented by plain C (scalar builds, native ones) or by WebAssembly SIMD. Every operation
// gives the same bits in all builds: no fused or relaxed float arithmetic, integers wrap.
//   f4  4 floats      s8   8 signed 16-bit integers
//   i4  4 integers    b16  16 bytes
// Masks (of f4_lt, …) are i4 lanes of −1 or 0.
#ifndef EDGE_SIMD_H
#define EDGE_SIMD_H
#include "../step.h"

#define INLINE static inline __attribute__((always_inline))

#ifdef __wasm_simd128__
#include "simd_wasm.h"
#else
#include "simd_scalar.h"
#endif

// Where there are no vector registers, small code is worth more than what keeps vectors in them. (Native builds are
// there to check all of it.)
#if defined(__wasm__) && !defined(__wasm_simd128__)
#define SMALL_CODE 1
#define UNROLL
#else
#define SMALL_CODE 0
#define UNROLL _Pragma("GCC unroll 16") // a loop of few and constant rounds: vectors in arrays become registers
#endif
#define SIMD_SUM16 (SIMD_DOT7 && !SMALL_CODE) // kernels with 16-bit sums, too
// Compilers turn an accumulator's whole chain into one expression and run out of registers for what else it reads;
// behind this, operations on a vector stay.
#if defined(__wasm_simd128__)
#define SETTLE(v) __asm__ volatile("" : "+r"(v) : : "memory")
// Engines build a constant anew, by three instructions, in every round of a loop; not what they can't tell for one.
#define KEEP(v) __asm__("" : "+r"(v))
#else
#define SETTLE(v) (void)(v)
#define KEEP(v) (void)(v)
#endif
#define ROLL _Pragma("GCC unroll 1") // leaves a loop as it is

// The sum of the lanes, in an order of its own.
INLINE f32 f4_sum(f4 a) {
  f32 x[4];
  f4_store(x, a);
  return (x[0] + x[1]) + (x[2] + x[3]);
}

INLINE i32 i4_sum(i4 a) {
  i32 x[4];
  i4_store(x, a);
  return (i32)((u32)x[0] + (u32)x[1] + (u32)x[2] + (u32)x[3]);
}

#endif
