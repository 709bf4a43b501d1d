// A linear on a team of threads: input rows are prepared, then each thread computes its share of the output rows.
#include "linear.h"

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

// Tiles [begin, end) for all input rows, a strip of them at a time: their inputs stay in the second-level cache.
static void run_tiles(const job *j, u32 begin, u32 end) {
  const weight_ref *w = &j->args->w;
  const int exact = w->numerics == EXACT;
  const kernels k = exact ? exact_kernels(w) : dot_kernels(w);
  if (j->rows <= 2) {
    if (begin < end) (j->rows == 1 ? k.one : k.two)(j, 0, begin, end);
    return;
  }
  for (u32 strip = 0; strip < j->rows; strip += STRIP) {
    const u32 last = strip + STRIP < j->rows ? strip + STRIP : j->rows;
    for (u32 tile = begin; tile < end; tile++) {
      if (exact) k.many(j, strip, tile, tile + 1);
      else
        for (u32 row = strip; row < last; row += 4)
          (last - row == 1 ? k.one : last - row == 2 ? k.two : k.many)(j, row, tile, tile + 1);
    }
  }
}

static void prepare(const linear_args *a, const step *s, u32 i, u8 *out) {
  const u32 row = a->y.base ? i : AT(const u32, s->logit_rows)[i];
  prepare_row(&a->w, view_row(&a->x, row), a->g ? AT(const f32, a->g) : 0, a->eps, out + i * a->row_bytes);
}

void run_linear(const linear_args *a, const step *s, const thread *t) {
  const u32 rows = a->y.base ? s->rows : s->n_logits;
  u8 *prepared = AT(u8, s->scratch);
  u32 begin = 0, end = rows;
  if (rows <= OWN_ROWS) prepared += a->shared + t->index * OWN_ROWS * a->row_bytes;
  else share(t, rows, 1, &begin, &end);
  for (u32 i = begin; i < end; i++) prepare(a, s, i, prepared);
  if (rows > OWN_ROWS) team_barrier(t);
  job j = {a, prepared, rows, AT(f32, a->y.base ? a->y.base : s->logits), a->y.base ? a->y.stride : s->logits_stride};
  share(t, (a->w.rows + TILE - 1) / TILE, 2, &begin, &end);
  if (rows) run_tiles(&j, begin, end);
}
