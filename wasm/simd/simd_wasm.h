// simd.h over simd128; with relaxed SIMD also the i8 × i7 dot. All types are v128: the scalar build tells them apart.
#ifndef EDGE_SIMD_WASM_H
#define EDGE_SIMD_WASM_H
#include <wasm_simd128.h>

typedef v128_t f4, i4, s8, b16;

INLINE f4 f4_load(const f32 *p) { return wasm_v128_load(p); }
INLINE void f4_store(f32 *p, f4 a) { wasm_v128_store(p, a); }
INLINE f4 f4_splat(f32 x) { return wasm_f32x4_splat(x); }
INLINE f4 f4_add(f4 a, f4 b) { return wasm_f32x4_add(a, b); }
INLINE f4 f4_sub(f4 a, f4 b) { return wasm_f32x4_sub(a, b); }
INLINE f4 f4_mul(f4 a, f4 b) { return wasm_f32x4_mul(a, b); }
INLINE f4 f4_div(f4 a, f4 b) { return wasm_f32x4_div(a, b); }
INLINE f4 f4_sqrt(f4 a) { return wasm_f32x4_sqrt(a); }
INLINE f4 f4_abs(f4 a) { return wasm_f32x4_abs(a); }
INLINE f4 f4_min(f4 a, f4 b) { return wasm_f32x4_pmin(a, b); } // b < a ? b : a
INLINE f4 f4_max(f4 a, f4 b) { return wasm_f32x4_pmax(a, b); } // a < b ? b : a
INLINE i4 f4_eq(f4 a, f4 b) { return wasm_f32x4_eq(a, b); }
INLINE i4 f4_lt(f4 a, f4 b) { return wasm_f32x4_lt(a, b); }
INLINE f4 f4_select(i4 mask, f4 a, f4 b) { return wasm_v128_bitselect(a, b, mask); }
INLINE i4 f4_bits(f4 a) { return a; }

INLINE i4 i4_load(const void *p) { return wasm_v128_load(p); }
INLINE i4 i4_load_splat(const void *p) { return wasm_v128_load32_splat(p); }
INLINE i4 i4_load16(const void *p) { return wasm_i32x4_load16x4(p); } // of 4 signed 16-bit integers
INLINE void i4_store(void *p, i4 a) { wasm_v128_store(p, a); }
INLINE i4 i4_splat(i32 x) { return wasm_i32x4_splat(x); }
INLINE i4 i4_make(i32 a, i32 b, i32 c, i32 d) { return wasm_i32x4_make(a, b, c, d); }
INLINE i4 i4_add(i4 a, i4 b) { return wasm_i32x4_add(a, b); }
INLINE i4 i4_sub(i4 a, i4 b) { return wasm_i32x4_sub(a, b); }
INLINE i4 i4_and(i4 a, i4 b) { return wasm_v128_and(a, b); }
INLINE i4 i4_or(i4 a, i4 b) { return wasm_v128_or(a, b); }
INLINE i4 i4_shl(i4 a, u32 n) { return wasm_i32x4_shl(a, n); }
INLINE i4 i4_shr(i4 a, u32 n) { return wasm_u32x4_shr(a, n); } // zeros come in
INLINE i4 i4_sra(i4 a, u32 n) { return wasm_i32x4_shr(a, n); } // the sign comes in
INLINE i4 i4_select(i4 mask, i4 a, i4 b) { return wasm_v128_bitselect(a, b, mask); }
INLINE f4 i4_floats(i4 a) { return a; }
// 16 of the bytes of a, 0 to 15, and b, 16 to 31.
#define i4_shuffle(a, b, ...) wasm_i8x16_shuffle(a, b, __VA_ARGS__)
INLINE void i4_store_half(void *p, i4 a) { wasm_v128_store64_lane(p, a, 0); } // its first 8 bytes
INLINE f4 i4_convert(i4 a) { return wasm_f32x4_convert_i32x4(a); }

INLINE s8 s8_load(const void *p) { return wasm_v128_load(p); }
INLINE void s8_store(void *p, s8 a) { wasm_v128_store(p, a); }
INLINE s8 s8_splat(i16 x) { return wasm_i16x8_splat(x); }
INLINE s8 s8_load_splat2(const void *p) { return wasm_v128_load32_splat(p); } // 2 integers, 4 times
INLINE s8 s8_and(s8 a, s8 b) { return wasm_v128_and(a, b); }
INLINE s8 s8_shr(s8 a, u32 n) { return wasm_u16x8_shr(a, n); } // zeros come in
INLINE s8 s8_add(s8 a, s8 b) { return wasm_i16x8_add(a, b); }
INLINE i4 s8_dot(s8 a, s8 b) { return wasm_i32x4_dot_i16x8(a, b); } // sums of 2 neighbouring products

INLINE b16 b16_load(const void *p) { return wasm_v128_load(p); }
INLINE void b16_store(void *p, b16 a) { wasm_v128_store(p, a); }
INLINE s8 b16_pairs(b16 a) { return a; }
INLINE b16 b16_splat(u8 x) { return wasm_u8x16_splat(x); }
INLINE b16 b16_load_splat4(const void *p) { return wasm_v128_load32_splat(p); } // 4 bytes, 4 times
INLINE b16 b16_and(b16 a, b16 b) { return wasm_v128_and(a, b); }
// Upper nibbles; `nibble` is 15 in every byte.
INLINE b16 b16_high(b16 a, b16 nibble) { return wasm_v128_and(wasm_u16x8_shr(a, 4), nibble); }

#ifdef __wasm_relaxed_simd__
#define SIMD_DOT7 1
// acc + sums of 4 neighbouring products of x, signed, and w, 0 to 127: then the same on every engine.
INLINE i4 b16_dot7(b16 x, b16 w, i4 acc) { return __builtin_wasm_relaxed_dot_i8x16_i7x16_add_s_i32x4(x, w, acc); }
// Sums of 2 neighbouring products.
INLINE s8 b16_dot7_pairs(b16 x, b16 w) { return __builtin_wasm_relaxed_dot_i8x16_i7x16_s_i16x8(x, w); }
#else
#define SIMD_DOT7 0
#endif

#endif
