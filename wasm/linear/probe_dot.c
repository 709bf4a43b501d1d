// Which integer dots are faster here? Processors with AVX-VNNI or NEON's dot products have one instruction for a sum of
// 32 bits; for others it is five, but two for a sum of 16 bits. A program can't ask, so it tries.
#include "linear.h"

#if SIMD_SUM16
enum { DOTS = 8 }; // at a time: more than wait for each other

INLINE i32 run(const u8 *codes, u32 rounds, u32 sum16) {
  b16 x = b16_splat(1);
  KEEP(x);
  i4 sums[DOTS];
  s8 pairs[DOTS];
  UNROLL for (u32 k = 0; k < DOTS; k++) sums[k] = i4_splat(0), pairs[k] = s8_splat(0);
  for (u32 i = 0; i < rounds; i++)
    UNROLL for (u32 k = 0; k < DOTS; k++) {
      const b16 code = b16_load(codes + 16 * k);
      if (sum16) {
        pairs[k] = s8_add(pairs[k], b16_dot7_pairs(x, code));
        SETTLE(pairs[k]);
      } else {
        sums[k] = b16_dot7(x, code, sums[k]);
        SETTLE(sums[k]);
      }
    }
  UNROLL for (u32 k = 1; k < DOTS; k++) {
    sums[0] = i4_add(sums[0], sums[k]);
    pairs[0] = s8_add(pairs[0], pairs[k]);
  }
  return i4_sum(sum16 ? s8_dot(pairs[0], s8_splat(1)) : sums[0]);
}

// Adds up `rounds` times 8 dots of what lies at an address, in sums of 16 bits or 32. What it returns only keeps it from
// being left out.
EXPORT("probe_dot") i32 probe_dot(u32 address, u32 rounds, u32 sum16) {
  const u8 *codes = AT(const u8, address);
  return sum16 ? run(codes, rounds, 1) : run(codes, rounds, 0);
}
#endif
