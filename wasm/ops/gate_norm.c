#include "gate_norm.h"
#include "../math.h"

// y = x ⊙ silu(z) (or x itself), over n columns; returns the sum of squares of y in 16 running sums.
static f32 gate_and_square(const f32 *x, const f32 *z, f32 *y, u32 n) {
  f4 sums[4] = {f4_splat(0.0f), f4_splat(0.0f), f4_splat(0.0f), f4_splat(0.0f)};
  u32 i = 0;
  for (; i + 16 <= n; i += 16) {
    f4 v[4];
    if (z) {
      UNROLL for (u32 k = 0; k < 4; k++) v[k] = f4_load(z + i + 4 * k);
      silu4s(v, 4);
    }
    UNROLL for (u32 k = 0; k < 4; k++) {
      const f4 input = f4_load(x + i + 4 * k);
      v[k] = z ? f4_mul(input, v[k]) : input;
      if (z) f4_store(y + i + 4 * k, v[k]);
      sums[k] = f4_add(sums[k], f4_mul(v[k], v[k]));
    }
  }
  for (u32 k = 0; i < n; i += 4, k++) {
    f4 v = load_up_to(x + i, n - i);
    if (z) {
      v = f4_mul(v, silu4(load_up_to(z + i, n - i)));
      store_up_to(y + i, v, n - i);
    }
    sums[k] = f4_add(sums[k], f4_mul(v, v));
  }
  return f4_sum(f4_add(f4_add(sums[0], sums[1]), f4_add(sums[2], sums[3])));
}

// y = x · inverse ⊙ g (⊙ silu(z))
static void scale(const f32 *x, const f32 *g, const f32 *z, f32 *y, u32 n, f32 inverse) {
  for (u32 i = 0; i < n; i += 4) {
    f4 v = f4_mul(f4_mul(load_up_to(x + i, n - i), f4_splat(inverse)), load_up_to(g + i, n - i));
    if (z) v = f4_mul(v, silu4(load_up_to(z + i, n - i)));
    store_up_to(y + i, v, n - i);
  }
}

OP(gate_norm) {
  const gate_norm_args *a = arguments;
  const u32 n = a->x.width / a->ngroups; // columns of a group
  u32 begin, end;
  share(t, s->rows * a->ngroups, 1, &begin, &end);
  for (u32 unit = begin; unit < end; unit++) {
    const u32 row = unit / a->ngroups, c = unit % a->ngroups * n;
    const f32 *x = view_row(&a->x, row) + c, *z = view_row(&a->z, row) + c, *g = AT(const f32, a->g) + c;
    f32 *y = view_row(&a->y, row) + c;
    f32 squares = gate_and_square(x, a->mode == NORM_THEN_GATE ? 0 : z, y, n);
    if (a->mode == GATE) continue;
    f32 inverse = 1.0f / __builtin_sqrtf(squares / (f32)n + a->eps);
    if (a->mode == NORM_THEN_GATE) scale(x, g, z, y, n, inverse);
    else scale(y, g, 0, y, n, inverse);
  }
}
