// Two passes over the window, oldest key first: scores and their softmax, then the values.
#include "window_attention.h"
#include "../math.h"

typedef struct { // keys or values of one key-value head: position p in row p mod ring
  const f32 *base;
  u32 stride; // floats
  u32 ring;
} cache;

static const f32 *cached(const cache *c, u32 position) { return c->base + position % c->ring * c->stride; }

static f32 dot(const f32 *a, const f32 *b, u32 n) {
  f4 even = f4_splat(0.0f), odd = even;
  u32 i = 0;
  for (; i + 8 <= n; i += 8) {
    even = f4_add(even, f4_mul(f4_load(a + i), f4_load(b + i)));
    odd = f4_add(odd, f4_mul(f4_load(a + i + 4), f4_load(b + i + 4)));
  }
  for (; i < n; i += 4) even = f4_add(even, f4_mul(load_up_to(a + i, n - i), load_up_to(b + i, n - i)));
  return f4_sum(f4_add(even, odd));
}

// Scores of `count` keys from `first` on become weights e^(score − largest), padded with zeros to a multiple of 4.
// Returns their sum.
static f32 weigh(const f32 *q, const cache *keys, u32 first, u32 count, u32 dim, f32 scale, f32 *weights) {
  f32 largest = -__builtin_inff();
  for (u32 i = 0; i < count; i++) {
    weights[i] = dot(q, cached(keys, first + i), dim) * scale;
    if (weights[i] > largest) largest = weights[i];
  }
  f4 sum = f4_splat(0.0f);
  for (u32 i = 0; i < count; i += 4) {
    f4 w = exp4(f4_sub(load_up_to(weights + i, count - i), f4_splat(largest)));
    if (count - i < 4) { // lanes beyond the last key count nothing
      f32 lanes[4];
      f4_store(lanes, w);
      w = load_part(lanes, count - i);
    }
    f4_store(weights + i, w);
    sum = f4_add(sum, w);
  }
  return f4_sum(sum);
}

// y[0, 4 nv) = Σ weights · values / total; the last vector has `last` channels.
INLINE void blend(const cache *values, u32 first, u32 count, const f32 *weights, f32 inverse, f32 *y,
                         const u32 nv, u32 at, u32 last) {
  f4 sums[4];
  for (u32 v = 0; v < nv; v++) sums[v] = f4_splat(0.0f);
  for (u32 i = 0; i < count; i++) {
    const f32 *row = cached(values, first + i) + at;
    const f4 w = f4_splat(weights[i]);
    for (u32 v = 0; v < nv; v++)
      sums[v] = f4_add(sums[v], f4_mul(w, v + 1 < nv ? f4_load(row + 4 * v) : load_up_to(row + 4 * v, last)));
  }
  for (u32 v = 0; v < nv; v++)
    store_up_to(y + at + 4 * v, f4_mul(sums[v], f4_splat(inverse)), v + 1 < nv ? 4 : last);
}

static void attend(const window_attention_args *a, const segment *g, u32 t, u32 head, f32 *weights) {
  const u32 dim = a->head_dim, kv = a->kv_heads * dim, row = g->first + t, position = g->position + t;
  const u32 column = head * a->kv_heads / a->heads * dim;
  const u32 first = position + 1 > a->window ? position + 1 - a->window : 0, count = position + 1 - first;
  const f32 *state = AT(const f32, a->state.base + g->slot * a->state.stride); // [2][ring][kv]
  const cache keys = {state + column, kv, a->ring}, values = {state + a->ring * kv + column, kv, a->ring};
  f32 total = weigh(view_row(&a->q, row) + head * dim, &keys, first, count, dim, a->scale, weights);
  f32 *y = view_row(&a->y, row) + head * dim;
  u32 at = 0;
  for (; at + 16 <= dim; at += 16) blend(&values, first, count, weights, 1.0f / total, y, 4, at, 4);
  for (; at < dim; at += 4) blend(&values, first, count, weights, 1.0f / total, y, 1, at, dim - at);
}

static void remember(const window_attention_args *a, const segment *g, u32 t) {
  const u32 kv = a->k.width, at = (g->position + t) % a->ring * kv;
  f32 *state = AT(f32, a->state.base + g->slot * a->state.stride); // [2][ring][kv]
  const f32 *k = view_row(&a->k, g->first + t), *v = view_row(&a->v, g->first + t);
  for (u32 i = 0; i < kv; i++) state[at + i] = k[i];
  for (u32 i = 0; i < kv; i++) state[a->ring * kv + at + i] = v[i];
}

OP(window_attention) {
  const window_attention_args *a = arguments;
  const segment *segments = AT(const segment, s->segments);
  f32 *weights = AT(f32, s->scratch + t->index * a->scratch_stride); // [ceil4(window)]
  u32 begin, end;
  share(t, s->rows, 1, &begin, &end);
  for (u32 i = 0; i < s->n_segments; i++)
    for (u32 r = 0; r < segments[i].rows; r++)
      if (segments[i].first + r >= begin && segments[i].first + r < end) remember(a, segments + i, r);
  pool_barrier(t);
  share(t, s->rows * a->heads, 1, &begin, &end);
  for (u32 i = 0; i < s->n_segments; i++)
    for (u32 r = 0; r < segments[i].rows; r++)
      for (u32 head = 0; head < a->heads; head++) {
        u32 unit = (segments[i].first + r) * a->heads + head;
        if (unit >= begin && unit < end) attend(a, segments + i, r, head, weights);
      }
}
