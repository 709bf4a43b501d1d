// Blocks of 16 channels, a line of the cache, go down the rows of a segment; the last k − 1 inputs stay at hand.
#include "conv1d.h"
#include "../math.h"

enum { CHANNELS = 16, VECTORS = CHANNELS / 4, MOST_TAPS = 8 };

// Channels [c, c + live) of one segment, live ≤ 4 · n.
INLINE void conv_block(const conv1d_args *a, const segment *g, const u32 k, u32 c, const u32 n, const u32 live) {
  const u32 channels = a->x.width;
  f32 *ring = AT(f32, a->state.base + g->slot * a->state.stride) + c; // [k, channels]
  const f32 *weight = AT(const f32, a->weight) + c;                   // [k, channels]
  f4 bias[VECTORS], taps[MOST_TAPS][VECTORS], sum[VECTORS];
  f4 past[MOST_TAPS][VECTORS]; // [k]; past[j] is the input of k − 1 − j rows ago
  UNROLL for (u32 v = 0; v < n; v++) {
    bias[v] = a->bias ? load_up_to(AT(const f32, a->bias) + c + 4 * v, live - 4 * v) : f4_splat(0.0f);
    for (u32 j = 0; j < k; j++) {
      const u32 back = k - 1 - j;
      const f32 *row = ring + (g->position - back) % k * channels;
      taps[j][v] = load_up_to(weight + j * channels + 4 * v, live - 4 * v);
      if (j + 1 < k) past[j][v] = back > g->position ? f4_splat(0.0f) : load_up_to(row + 4 * v, live - 4 * v);
    }
  }
  for (u32 t = 0; t < g->rows; t++) {
    const f32 *x = view_row(&a->x, g->first + t) + c;
    UNROLL for (u32 v = 0; v < n; v++) {
      past[k - 1][v] = load_up_to(x + 4 * v, live - 4 * v);
      sum[v] = bias[v];
      for (u32 j = 0; j < k; j++) sum[v] = f4_add(sum[v], f4_mul(taps[j][v], past[j][v]));
      for (u32 j = 0; j + 1 < k; j++) past[j][v] = past[j + 1][v];
    }
    if (g->rows - t <= k) { // later rows need it
      f32 *to = ring + (g->position + t) % k * channels;
      UNROLL for (u32 v = 0; v < n; v++) store_up_to(to + 4 * v, past[k - 1][v], live - 4 * v);
    }
    if (a->activation == CONV_SILU) silu4s(sum, n);
    f32 *y = view_row(&a->y, g->first + t) + c;
    UNROLL for (u32 v = 0; v < n; v++) store_up_to(y + 4 * v, sum[v], live - 4 * v);
  }
}

OP(conv1d) {
  const conv1d_args *a = arguments;
  const segment *segments = AT(const segment, s->segments);
  u32 begin, end;
  share(t, a->x.width, CHANNELS, &begin, &end);
  for (u32 i = 0; i < s->n_segments; i++)
    for (u32 c = begin; c < end;) {
      const u32 live = end - c < CHANNELS ? end - c : CHANNELS;
      if (a->k == 4 && live == CHANNELS) conv_block(a, segments + i, 4, c, VECTORS, CHANNELS), c += CHANNELS;
      else conv_block(a, segments + i, a->k, c, 1, live < 4 ? live : 4), c += 4;
    }
}
