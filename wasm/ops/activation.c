#include "activation.h"
#include "../math.h"

enum { COLUMNS = 64 }; // of one unit of work

INLINE void activate(const f32 *x, const f32 *gate, f32 *y, u32 n, u32 kind) {
  for (u32 i = 0; i < n; i += 4) {
    f4 v = load_up_to((gate ? gate : x) + i, n - i);
    if (kind == ACT_GELU) v = gelu4(v);
    else if (kind == ACT_SILU) v = silu4(v);
    else {
      f4 positive = f4_select(f4_lt(v, f4_splat(0.0f)), f4_splat(0.0f), v); // NaN stays
      v = f4_mul(positive, positive);
    }
    if (gate) v = f4_mul(v, load_up_to(x + i, n - i));
    store_up_to(y + i, v, n - i);
  }
}

OP(activation) {
  const activation_args *a = arguments;
  const u32 d = a->x.width, blocks = (d + COLUMNS - 1) / COLUMNS;
  u32 begin, end;
  share(t, s->rows * blocks, 1, &begin, &end);
  for (u32 unit = begin; unit < end; unit++) {
    const u32 row = unit / blocks, c = unit % blocks * COLUMNS, n = d - c < COLUMNS ? d - c : COLUMNS;
    const f32 *x = view_row(&a->x, row) + c, *gate = a->gate.base ? view_row(&a->gate, row) + c : 0;
    f32 *y = view_row(&a->y, row) + c;
    if (a->kind == ACT_GELU) activate(x, gate, y, n, ACT_GELU);
    else if (a->kind == ACT_SILU) activate(x, gate, y, n, ACT_SILU);
    else activate(x, gate, y, n, ACT_RELU2);
  }
}
