// simd.h in plain C.
#ifndef EDGE_SIMD_SCALAR_H
#define EDGE_SIMD_SCALAR_H

typedef struct { f32 v[4]; } f4;
typedef struct { i32 v[4]; } i4;
typedef struct { i16 v[8]; } s8;
typedef struct { u8 v[16]; } b16;

#define LANES(type, n, expression) \
  type r; \
  for (int i = 0; i < n; i++) r.v[i] = expression; \
  return r
#define LOAD(type) \
  type r; \
  __builtin_memcpy(&r, p, 16); \
  return r

INLINE f4 f4_load(const f32 *p) { LOAD(f4); }
INLINE void f4_store(f32 *p, f4 a) { __builtin_memcpy(p, &a, 16); }
INLINE f4 f4_splat(f32 x) { LANES(f4, 4, x); }
INLINE f4 f4_add(f4 a, f4 b) { LANES(f4, 4, a.v[i] + b.v[i]); }
INLINE f4 f4_sub(f4 a, f4 b) { LANES(f4, 4, a.v[i] - b.v[i]); }
INLINE f4 f4_mul(f4 a, f4 b) { LANES(f4, 4, a.v[i] * b.v[i]); }
INLINE f4 f4_div(f4 a, f4 b) { LANES(f4, 4, a.v[i] / b.v[i]); }
INLINE f4 f4_sqrt(f4 a) { LANES(f4, 4, __builtin_sqrtf(a.v[i])); }
INLINE f4 f4_abs(f4 a) { LANES(f4, 4, __builtin_fabsf(a.v[i])); }
INLINE f4 f4_min(f4 a, f4 b) { LANES(f4, 4, b.v[i] < a.v[i] ? b.v[i] : a.v[i]); }
INLINE f4 f4_max(f4 a, f4 b) { LANES(f4, 4, a.v[i] < b.v[i] ? b.v[i] : a.v[i]); }
INLINE i4 f4_eq(f4 a, f4 b) { LANES(i4, 4, -(a.v[i] == b.v[i])); }
INLINE i4 f4_lt(f4 a, f4 b) { LANES(i4, 4, -(a.v[i] < b.v[i])); }
INLINE f4 f4_select(i4 mask, f4 a, f4 b) { LANES(f4, 4, mask.v[i] ? a.v[i] : b.v[i]); }
INLINE i4 f4_bits(f4 a) {
  i4 r;
  __builtin_memcpy(&r, &a, 16);
  return r;
}

INLINE i4 i4_load(const void *p) { LOAD(i4); }
INLINE i4 i4_load16(const void *p) {
  i16 x[4];
  __builtin_memcpy(x, p, 8);
  LANES(i4, 4, x[i]);
}
INLINE void i4_store(void *p, i4 a) { __builtin_memcpy(p, &a, 16); }
INLINE i4 i4_splat(i32 x) { LANES(i4, 4, x); }
INLINE i4 i4_load_splat(const void *p) {
  i32 x;
  __builtin_memcpy(&x, p, 4);
  return i4_splat(x);
}
INLINE i4 i4_make(i32 a, i32 b, i32 c, i32 d) { return (i4){{a, b, c, d}}; }
INLINE i4 i4_add(i4 a, i4 b) { LANES(i4, 4, (i32)((u32)a.v[i] + (u32)b.v[i])); }
INLINE i4 i4_sub(i4 a, i4 b) { LANES(i4, 4, (i32)((u32)a.v[i] - (u32)b.v[i])); }
INLINE i4 i4_and(i4 a, i4 b) { LANES(i4, 4, a.v[i] & b.v[i]); }
INLINE i4 i4_or(i4 a, i4 b) { LANES(i4, 4, a.v[i] | b.v[i]); }
INLINE i4 i4_shl(i4 a, u32 n) { LANES(i4, 4, (i32)((u32)a.v[i] << n)); }
INLINE i4 i4_shr(i4 a, u32 n) { LANES(i4, 4, (i32)((u32)a.v[i] >> n)); }
INLINE i4 i4_sra(i4 a, u32 n) { LANES(i4, 4, a.v[i] >> n); }
INLINE i4 i4_select(i4 mask, i4 a, i4 b) { LANES(i4, 4, mask.v[i] ? a.v[i] : b.v[i]); }
INLINE f4 i4_floats(i4 a) {
  f4 r;
  __builtin_memcpy(&r, &a, 16);
  return r;
}
INLINE i4 shuffle_bytes(i4 a, i4 b, const u8 *from) {
  u8 bytes[32], picked[16];
  __builtin_memcpy(bytes, &a, 16);
  __builtin_memcpy(bytes + 16, &b, 16);
  for (u32 i = 0; i < 16; i++) picked[i] = bytes[from[i]];
  __builtin_memcpy(&a, picked, 16);
  return a;
}
#define i4_shuffle(a, b, ...) shuffle_bytes(a, b, (const u8[16]){__VA_ARGS__})
INLINE void i4_store_half(void *p, i4 a) { __builtin_memcpy(p, &a, 8); }
INLINE f4 i4_convert(i4 a) { LANES(f4, 4, (f32)a.v[i]); }

INLINE s8 s8_load(const void *p) { LOAD(s8); }
INLINE void s8_store(void *p, s8 a) { __builtin_memcpy(p, &a, 16); }
INLINE s8 s8_splat(i16 x) { LANES(s8, 8, x); }
INLINE s8 s8_load_splat2(const void *p) {
  i16 x[2];
  __builtin_memcpy(x, p, 4);
  LANES(s8, 8, x[i & 1]);
}
INLINE s8 s8_and(s8 a, s8 b) { LANES(s8, 8, (i16)(a.v[i] & b.v[i])); }
INLINE s8 s8_shr(s8 a, u32 n) { LANES(s8, 8, (i16)((u16)a.v[i] >> n)); }
INLINE s8 s8_add(s8 a, s8 b) { LANES(s8, 8, (i16)((u16)a.v[i] + (u16)b.v[i])); }
INLINE i4 s8_dot(s8 a, s8 b) {
  LANES(i4, 4, (i32)((u32)(a.v[2 * i] * b.v[2 * i]) + (u32)(a.v[2 * i + 1] * b.v[2 * i + 1])));
}

INLINE b16 b16_load(const void *p) { LOAD(b16); }
INLINE void b16_store(void *p, b16 a) { __builtin_memcpy(p, &a, 16); }
INLINE s8 b16_pairs(b16 a) {
  s8 r;
  __builtin_memcpy(&r, &a, 16);
  return r;
}
INLINE b16 b16_splat(u8 x) { LANES(b16, 16, x); }
INLINE b16 b16_load_splat4(const void *p) {
  u8 x[4];
  __builtin_memcpy(x, p, 4);
  LANES(b16, 16, x[i & 3]);
}
INLINE b16 b16_and(b16 a, b16 b) { LANES(b16, 16, a.v[i] & b.v[i]); }
INLINE b16 b16_high(b16 a, b16 nibble) { LANES(b16, 16, (a.v[i] >> 4) & nibble.v[i]); }

#define SIMD_DOT7 1
INLINE i4 b16_dot7(b16 x, b16 w, i4 acc) {
  for (int i = 0; i < 16; i++) acc.v[i / 4] = (i32)((u32)acc.v[i / 4] + (u32)((i8)x.v[i] * (i8)w.v[i]));
  return acc;
}
INLINE s8 b16_dot7_pairs(b16 x, b16 w) {
  LANES(s8, 8, (i16)((i8)x.v[2 * i] * (i8)w.v[2 * i] + (i8)x.v[2 * i + 1] * (i8)w.v[2 * i + 1]));
}

#undef LOAD
#undef LANES
#endif
