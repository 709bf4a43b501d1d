// A linear on a pool of threads: input rows are prepared, then each thread computes its share of the output rows.
#include "weights.h"

enum { PARTS = 8 }; // a thread, on average

void finish(const job *j, u32 row, u32 tile, f4 low, f4 high) {
  const linear_args *a = j->args;
  const u32 o = tile * TILE;
  const f4 scale = f4_splat(a->scale);
  f4 v[2] = {low, high};
  for (u32 h = 0; h < 2; h++) {
    const u32 at = o + 4 * h;
    if (at >= a->w.rows) return;
    const u32 live = a->w.rows - at;
    if (a->b) v[h] = f4_add(v[h], load_up_to(AT(const f32, a->b) + at, live));
    v[h] = f4_mul(v[h], scale);
    if (a->residual.base) v[h] = f4_add(load_up_to(view_row(&a->residual, row) + at, live), v[h]);
    store_up_to(j->y + row * j->y_stride + at, v[h], live);
  }
}

// Reads a tile ahead, all its cache lines at once: kernels that compute more than they read would otherwise meet
// every line's latency by itself where the processor does not prefetch. There is no instruction for it.
static void touch(const u8 *p, u32 bytes) {
  for (u32 i = 0; i < bytes; i += 64) (void)*(const volatile u32 *)(const void *)(p + i);
}

// Tiles [begin, end) for input rows [row, last), at most STRIP.
static void run_rows(const job *j, const kernels *k, u32 row, u32 last, u32 begin, u32 end) {
  const u32 many = SMALL_CODE ? 1 : STRIP;
  for (; row < last; row += many) {
    const u32 rows = last - row;
    (rows == 1 ? k->one : rows == 2 ? k->two : k->many)(j, row, begin, end);
  }
}

// Tiles [begin, end) for all input rows, a strip of them at a time: their inputs stay in the second-level cache.
static void run_tiles(const job *j, u32 sum16, u32 begin, u32 end) {
  const weight_ref *w = &j->args->w;
  const kernels k = w->numerics == EXACT ? exact_kernels(w) : dot_kernels(w, sum16);
  if (j->rows == 1 && w->numerics != EXACT) { // as fast as memory
    run_rows(j, &k, 0, 1, begin, end);
    return;
  }
  for (u32 strip = 0; strip < j->rows; strip += STRIP) {
    const u32 last = strip + STRIP < j->rows ? strip + STRIP : j->rows;
    for (u32 tile = begin; tile < end; tile += 2) {
      const u32 next = tile + 2 < end ? tile + 2 : end, after = next + 2 < end ? next + 2 : end;
      touch(tile_at(w, next), (after - next) * w->tile_bytes);
      run_rows(j, &k, strip, last, tile, next);
    }
  }
}

static void prepare(const linear_args *a, const step *s, u32 i, u8 *out) {
  const u32 row = a->y.base ? i : AT(const u32, s->logit_rows)[i];
  prepare_row(&a->w, view_row(&a->x, row), a->g ? AT(const f32, a->g) : 0, a->eps, out + (size_t)i * a->row_bytes);
}

void run_linear(const linear_args *a, const step *s, const thread *t) {
  const u32 rows = a->y.base ? s->rows : s->n_logits;
  u8 *prepared = AT(u8, s->scratch);
  u32 begin = 0, end = rows;
  if (rows <= OWN_ROWS) prepared = AT(u8, s->scratch + a->shared) + (size_t)t->index * OWN_ROWS * a->row_bytes;
  else share(t, rows, 1, &begin, &end);
  for (u32 i = begin; i < end; i++) prepare(a, s, i, prepared);
  if (rows > OWN_ROWS) pool_barrier(t);
  job j = {a, prepared, rows, AT(f32, a->y.base ? a->y.base : s->logits), a->y.base ? a->y.stride : s->logits_stride};
  if (rows == 0) return;
  const u32 tiles = (a->w.rows + TILE - 1) / TILE;
  if (rows <= OWN_ROWS || t->count == 1) {
    share(t, tiles, 2, &begin, &end);
    run_tiles(&j, s->sum16, begin, end);
    return;
  }
  const u32 part = (tiles / (PARTS * t->count) + 2) & ~1u; // even, as shares are
  while ((begin = pool_next(t) * part) < tiles)
    run_tiles(&j, s->sum16, begin, tiles - begin < part ? tiles : begin + part);
}
