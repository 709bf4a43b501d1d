// ln, exp, sin and cos of doubles, from + − × / and bit operations only: the same bits on every engine and in every
// build. For the few numbers that need them: series as long as it takes, far within 2^-48 in the ranges given (angles
// of more than 2^20 aside).
#ifndef EDGE_MATH64_H
#define EDGE_MATH64_H
#include "step.h"

#define LN2 0.69314718055994530942

// ln x of positive normal numbers: x = m · 2^e, m from √½ to √2; ln m = 2 artanh((m − 1) / (m + 1)).
static inline f64 ln64(f64 x) {
  union { f64 number; uint64_t bits; } u = {x};
  i32 e = (i32)(u.bits >> 52) - 1023;
  u.bits = (u.bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull;
  if (u.number > 1.41421356237309504880) u.number *= 0.5, e++;
  const f64 s = (u.number - 1.0) / (u.number + 1.0), z = s * s;
  f64 sum = 0.0;
  for (i32 k = 12; k >= 0; k--) sum = sum * z + 1.0 / (2 * k + 1);
  return e * LN2 + 2.0 * s * sum;
}

// e^x of 0 ≤ x < 700.
static inline f64 exp64(f64 x) {
  const i32 n = (i32)(x / LN2 + 0.5);
  const f64 r = x - n * LN2;
  f64 sum = 1.0;
  for (i32 k = 18; k > 0; k--) sum = 1.0 + r / k * sum;
  for (i32 k = 0; k < n; k++) sum *= 2.0;
  return sum;
}

// cos x and sin x of 0 ≤ x < 2^31: x = r + k π/2, π/2 in two parts, the first of 33 bits, so that r is exact to 2^-53
// below 2^20, where k times it is, then to half a last bit of x: 2^-30 below 2^24.
static inline void turn64(f64 x, f64 *cosine, f64 *sine) {
  const i32 k = (i32)(x * 0.63661977236758134308 + 0.5);
  const f64 r = x - k * 1.57079632673412561417 - k * 6.07710050650619224932e-11, z = r * r;
  f64 c = 1.0, s = 1.0;
  for (i32 n = 15; n > 0; n -= 2) {
    c = 1.0 - z / (n * (n + 1)) * c;
    s = 1.0 - z / ((n + 1) * (n + 2)) * s;
  }
  s *= r;
  *cosine = k & 1 ? (k & 2 ? s : -s) : (k & 2 ? -c : c);
  *sine = k & 1 ? (k & 2 ? -c : c) : (k & 2 ? -s : s);
}

#endif
