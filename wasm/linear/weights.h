// Reading packed weights: scales, codes.
#ifndef EDGE_LINEAR_WEIGHTS_H
#define EDGE_LINEAR_WEIGHTS_H
#include "linear.h"

// How integers are multiplied: pairs of i16; fours of i8; the same with sums of 16 bits within a block.
enum { PAIRS, FOURS, FOURS_16 };
INLINE u32 dot_bytes(u32 dot) { return dot == PAIRS ? 2 : 1; } // of a prepared column
INLINE u32 dot_of(const weight_ref *w, u32 sum16) {
  if (w->numerics != I8 || !SIMD_DOT7) return PAIRS;
  return sum16 && SIMD_SUM16 ? FOURS_16 : FOURS;
}

// The kernels that there are, X(name, kind of weights, dot).
#if SIMD_DOT7
#define DOTS_OF_FOURS(X) X(q4_fours, Q4_WEIGHTS, FOURS) X(q8_fours, Q8_WEIGHTS, FOURS)
#else
#define DOTS_OF_FOURS(X)
#endif
#if SIMD_SUM16
#define DOTS_OF_SUM16(X) X(q4_fours_16, Q4_WEIGHTS, FOURS_16) X(q8_fours_16, Q8_WEIGHTS, FOURS_16)
#else
#define DOTS_OF_SUM16(X)
#endif
#define EACH_DOT(X) \
  X(q4_pairs, Q4_WEIGHTS, PAIRS) X(q8_pairs, Q8_WEIGHTS, PAIRS) DOTS_OF_FOURS(X) DOTS_OF_SUM16(X)

typedef struct { f4 v[2]; } f8; // of the 8 rows of a tile

INLINE f32 half_factor(const weight_ref *w) { return *AT(const f32, w->base); }
INLINE const u8 *tile_at(const weight_ref *w, u32 tile) {
  return AT(const u8, w->base) + 64 + (size_t)tile * w->tile_bytes;
}

// 4 f16 to f32, exactly; `half` is the weight's factor. The bits are shifted to where f32 has them, then the exponent
// is rebased by a multiplication, which takes subnormals along.
INLINE f4 halves(const u8 *p, f4 half) {
  i4 bits = i4_and(i4_shl(i4_load16(p), 13), i4_splat((i32)0x8fffe000u));
  return f4_mul(i4_floats(bits), half);
}

// 8 scales, biases or values, f32 or f16.
INLINE f8 load_f8(const u8 *p, u32 wide, f4 half) {
  if (wide) return (f8){{f4_load((const f32 *)(const void *)p), f4_load((const f32 *)(const void *)(p + 16))}};
  return (f8){{halves(p, half), halves(p + 8, half)}};
}

INLINE void store_f8(f32 *p, f8 a) {
  f4_store(p, a.v[0]);
  f4_store(p + 4, a.v[1]);
}

INLINE u32 scale_bytes(u32 wide) { return TILE * (wide ? 4 : 2); }

// Of 8 columns of a tile.
INLINE u32 grain_bytes(u32 kind) {
  return kind == F32_WEIGHTS ? 256 : kind == F16_WEIGHTS ? 128 : kind == Q4_WEIGHTS ? 32 : 64;
}

// Column i of the codes of 4 rows, times 2^(bits · i) unless it is the uppermost: no shift is needed, and the inputs
// are prepared accordingly.
INLINE f4 code_floats(i4 codes, u32 bits, u32 i) {
  const u32 mask = (1u << bits) - 1;
  if ((i + 1) * bits == 32) return i4_convert(i4_shr(codes, 32 - bits));
  return i4_convert(i4_and(codes, i4_splat((i32)(mask << bits * i))));
}

// Sums of i8 products stay below 2^22, so with the bits of 1.5 · 2^23 in their seed they are floats already, 1.5 · 2^23
// too large: processors have more room for a subtraction than for a conversion.
#define MAGIC 12582912.0f
#define MAGIC_BITS 0x4b400000u

typedef struct {
  f4 half, magic;
  b16 nibble; // 15 in every byte
  s8 code;    // the bits of a code
  s8 one;
} constants;

INLINE constants constants_of(const weight_ref *w, u32 kind) {
  constants k = {f4_splat(half_factor(w)), f4_splat(MAGIC), b16_splat(15), s8_splat(kind == Q4_WEIGHTS ? 15 : 255),
                 s8_splat(1)};
  KEEP(k.magic);
  KEEP(k.nibble);
  KEEP(k.code);
  KEEP(k.one);
  return k;
}

INLINE f4 sum_floats(i4 sums, u32 dot, f4 magic) {
  return dot != PAIRS ? f4_sub(i4_floats(sums), magic) : i4_convert(sums);
}

#endif
