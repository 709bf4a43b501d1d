// exp, log and their kin, four at a time, from + − × / and bit operations only: the same bits on every engine and in
// every build. Coefficients of exp and log: Cephes (S. Moshier); of erf: the rational fit that Eigen uses.
#ifndef EDGE_MATH_H
#define EDGE_MATH_H
#include "simd/simd.h"
#include "step.h"

#define EACH UNROLL for (u32 i = 0; i < n; i++)
// All of one step before the next: compilers would go on vector by vector.
#define SET(v, value) do { v[i] = value; SETTLE(v[i]); } while (0)

// e^x of n vectors at once, which share what constants cost to build; 0 below −104, infinity above 88.73, NaN for NaN.
// Within 2 ulp. `normal`: no less than e^−87, infinity above 88.37, and of NaN anything.
INLINE void exp4s(f4 *x, const u32 n, int normal) {
  const f4 magic = f4_splat(12582912.0f); // 1.5 · 2^23: adding it rounds to an integer
  static const f32 COEFFICIENTS[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                                     5.0000001201e-1f};
  f4 shifted[4], r[4], p[4];
  EACH SET(r, f4_min(f4_max(x[i], f4_splat(normal ? -87.0f : -104.0f)), f4_splat(89.0f)));
  EACH SET(shifted, f4_add(f4_mul(r[i], f4_splat(1.44269504088896341f)), magic));
  EACH SET(p, f4_sub(shifted[i], magic));
  EACH SET(r, f4_sub(f4_sub(r[i], f4_mul(p[i], f4_splat(0.693359375f))), f4_mul(p[i], f4_splat(-2.12194440e-4f))));
  EACH p[i] = f4_splat(1.9875691500e-4f);
  UNROLL for (u32 k = 0; k < sizeof COEFFICIENTS / sizeof(f32); k++)
    EACH SET(p, f4_add(f4_mul(p[i], r[i]), f4_splat(COEFFICIENTS[k])));
  EACH SET(p, f4_add(f4_add(f4_mul(p[i], f4_mul(r[i], r[i])), r[i]), f4_splat(1.0f)));
  EACH {
    const i4 k = i4_sub(f4_bits(shifted[i]), f4_bits(magic));
    if (normal) {
      x[i] = f4_mul(p[i], i4_floats(i4_shl(i4_add(k, i4_splat(127)), 23)));
      continue;
    }
    // 2^k in two factors, each a normal number: k is −150 to 128
    const i4 half = i4_sra(k, 1);
    f4 low = i4_floats(i4_shl(i4_add(half, i4_splat(127)), 23));
    f4 high = i4_floats(i4_shl(i4_add(i4_sub(k, half), i4_splat(127)), 23));
    x[i] = f4_select(f4_eq(x[i], x[i]), f4_mul(f4_mul(p[i], low), high), x[i]);
  }
}

static inline f4 exp4(f4 x) {
  exp4s(&x, 1, 0);
  return x;
}

// ln x of positive normal numbers.
static inline f4 log4(f4 x) {
  i4 bits = f4_bits(x);
  i4 e = i4_sub(i4_shr(bits, 23), i4_splat(126));
  f4 m = i4_floats(i4_or(i4_and(bits, i4_splat(0x007fffff)), i4_splat(0x3f000000))); // [0.5, 1)
  i4 small = f4_lt(m, f4_splat(0.707106781186547524f));
  e = i4_add(e, small); // the mask is −1
  m = f4_sub(f4_add(m, f4_select(small, m, f4_splat(0.0f))), f4_splat(1.0f));
  f4 z = f4_mul(m, m), n = i4_convert(e);
  f4 p = f4_splat(7.0376836292e-2f);
  p = f4_add(f4_mul(p, m), f4_splat(-1.1514610310e-1f));
  p = f4_add(f4_mul(p, m), f4_splat(1.1676998740e-1f));
  p = f4_add(f4_mul(p, m), f4_splat(-1.2420140846e-1f));
  p = f4_add(f4_mul(p, m), f4_splat(1.4249322787e-1f));
  p = f4_add(f4_mul(p, m), f4_splat(-1.6668057665e-1f));
  p = f4_add(f4_mul(p, m), f4_splat(2.0000714765e-1f));
  p = f4_add(f4_mul(p, m), f4_splat(-2.4999993993e-1f));
  p = f4_add(f4_mul(p, m), f4_splat(3.3333331174e-1f));
  f4 y = f4_mul(f4_mul(p, z), m);
  y = f4_add(y, f4_mul(n, f4_splat(-2.12194440e-4f)));
  y = f4_sub(y, f4_mul(z, f4_splat(0.5f)));
  return f4_add(f4_add(m, y), f4_mul(n, f4_splat(0.693359375f)));
}

// ln(1 + e^x), and x itself above 20. ln(1 + u) = ln(y) · u / (y − 1) with y = 1 + u rounded (W. Kahan).
static inline f4 softplus4(f4 x) {
  const f4 one = f4_splat(1.0f);
  f4 u = exp4(x), y = f4_add(one, u);
  f4 r = f4_mul(log4(y), f4_div(u, f4_sub(y, one)));
  return f4_select(f4_lt(f4_splat(20.0f), x), x, f4_select(f4_eq(y, one), u, r));
}

// x / (1 + e^−x) of n ≤ 4 vectors
INLINE void silu4s(f4 *x, const u32 n) {
  f4 e[4];
  EACH e[i] = f4_sub(f4_splat(0.0f), x[i]);
  exp4s(e, n, 1);
  EACH x[i] = f4_div(x[i], f4_add(f4_splat(1.0f), e[i]));
}

#undef EACH
#undef SET

static inline f4 silu4(f4 x) {
  silu4s(&x, 1);
  return x;
}

static inline f4 erf4(f4 x) {
  f4 c = f4_min(f4_max(x, f4_splat(-4.0f)), f4_splat(4.0f)), z = f4_mul(c, c);
  f4 p = f4_splat(-2.72614225801306e-10f);
  p = f4_add(f4_mul(p, z), f4_splat(2.77068142495902e-08f));
  p = f4_add(f4_mul(p, z), f4_splat(-2.10102402082508e-06f));
  p = f4_add(f4_mul(p, z), f4_splat(-5.69250639462346e-05f));
  p = f4_add(f4_mul(p, z), f4_splat(-7.34990630326855e-04f));
  p = f4_add(f4_mul(p, z), f4_splat(-2.95459980854025e-03f));
  p = f4_add(f4_mul(p, z), f4_splat(-1.60960333262415e-02f));
  f4 q = f4_splat(-1.45660718464996e-05f);
  q = f4_add(f4_mul(q, z), f4_splat(-2.13374055278905e-04f));
  q = f4_add(f4_mul(q, z), f4_splat(-1.68282697438203e-03f));
  q = f4_add(f4_mul(q, z), f4_splat(-7.37332916720468e-03f));
  q = f4_add(f4_mul(q, z), f4_splat(-1.42647390514189e-02f));
  return f4_select(f4_eq(x, x), f4_div(f4_mul(p, c), q), x);
}

// The exact GELU, x · Φ(x).
static inline f4 gelu4(f4 x) {
  f4 phi2 = f4_add(f4_splat(1.0f), erf4(f4_mul(x, f4_splat(0.70710678118654752f))));
  return f4_mul(f4_mul(x, f4_splat(0.5f)), phi2);
}

// ln x of a positive normal double: 2 artanh((m − 1) / (m + 1)) + e ln 2.
static inline f64 log1(f64 x) {
  union { f64 f; long long i; } u = {x};
  if (!(x > 0) || x > 1e308) return x * 0.0 / 0.0;
  long long e = (u.i >> 52) - 1022;
  u.i = (u.i & 0x000fffffffffffffLL) | 0x3fe0000000000000LL; // [0.5, 1)
  if (u.f < 0.70710678118654752) u.f *= 2, e--;
  f64 s = (u.f - 1) / (u.f + 1), z = s * s, sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * z + 1.0 / k;
  return 2 * s * sum + (f64)e * 0.69314718055994531;
}

// The first n of 4 floats; the others are 0.
static inline f4 load_part(const f32 *p, u32 n) {
  f32 x[4] = {0, 0, 0, 0};
  for (u32 i = 0; i < n && i < 4; i++) x[i] = p[i];
  return f4_load(x);
}

static inline void store_part(f32 *p, f4 v, u32 n) {
  f32 x[4];
  f4_store(x, v);
  for (u32 i = 0; i < n && i < 4; i++) p[i] = x[i];
}

// Of up to 4 floats.
static inline f4 load_up_to(const f32 *p, u32 n) { return n >= 4 ? f4_load(p) : load_part(p, n); }
static inline void store_up_to(f32 *p, f4 v, u32 n) {
  if (n >= 4) f4_store(p, v);
  else store_part(p, v, n);
}

static inline f32 *view_row(const view *v, u32 row) { return AT(f32, v->base) + row * v->stride; }

#endif
