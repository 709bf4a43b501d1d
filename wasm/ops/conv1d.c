// Channels in groups of 4; down the rows of a segment, the last k − 1 inputs stay in registers.
#include "conv1d.h"
#include "../math.h"

// Channels [c, c + live) of one segment, live ≤ 4.
INLINE void conv_group(const conv1d_args *a, const segment *g, u32 k, u32 c, u32 live) {
  const u32 channels = a->x.width;
  f32 *ring = AT(f32, a->state.base + g->slot * a->state.stride) + c; // [k, channels]
  const f32 *weight = AT(const f32, a->weight) + c;                   // [k, channels]
  const f4 bias = a->bias ? load_up_to(AT(const f32, a->bias) + c, live) : f4_splat(0.0f);
  f4 taps[8], past[8]; // [k]; past[j] is the input of k − 1 − j rows ago
  for (u32 j = 0; j < k; j++) taps[j] = load_up_to(weight + j * channels, live);
  for (u32 j = 0; j + 1 < k; j++) {
    u32 back = k - 1 - j;
    past[j] = back > g->position ? f4_splat(0.0f)
                                 : load_up_to(ring + (g->position - back) % k * channels, live);
  }
  u32 at = g->position % k; // ring row of the position
  for (u32 t = 0; t < g->rows; t++) {
    past[k - 1] = load_up_to(view_row(&a->x, g->first + t) + c, live);
    store_up_to(ring + at * channels, past[k - 1], live);
    at = at + 1 == k ? 0 : at + 1;
    f4 sum = bias;
    for (u32 j = 0; j < k; j++) sum = f4_add(sum, f4_mul(taps[j], past[j]));
    if (a->activation == CONV_SILU) sum = silu4(sum);
    store_up_to(view_row(&a->y, g->first + t) + c, sum, live);
    for (u32 j = 0; j + 1 < k; j++) past[j] = past[j + 1];
  }
}

OP(conv1d) {
  const conv1d_args *a = arguments;
  const segment *segments = AT(const segment, s->segments);
  u32 begin, end;
  share(t, a->x.width, 16, &begin, &end);
  for (u32 i = 0; i < s->n_segments; i++)
    for (u32 c = begin; c < end; c += 4) {
      u32 live = end - c < 4 ? end - c : 4;
      if (a->k == 4 && live == 4) conv_group(a, segments + i, 4, c, 4);
      else conv_group(a, segments + i, a->k, c, live);
    }
}
