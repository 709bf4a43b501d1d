// The register-tiled recurrence: a block of up to 16 channels of one head goes through all rows of a segment while its
// state stays in the cache; one pass over the state decays it, takes the input in and reads C · H out.
#include "ssd_scan.h"
#include "../math.h"

typedef struct { // one thread's dt and exp(dt · A), [rows][2][stride]
  f32 *values;
  u32 stride; // nheads, rounded up to 4
} decays;

static void prepare_dt(const ssd_scan_args *a, u32 rows, u32 head_begin, u32 head_end, const decays *d) {
  for (u32 h = head_begin & ~3u; h < head_end; h += 4) {
    u32 live = a->nheads - h;
    f4 bias = load_up_to(AT(const f32, a->dt_bias) + h, live);
    f4 A = load_up_to(AT(const f32, a->A) + h, live);
    for (u32 r = 0; r < rows; r++) {
      f4 dt = softplus4(f4_add(load_up_to(view_row(&a->dt, r) + h, live), bias));
      dt = f4_min(f4_max(dt, f4_splat(a->dt_min)), f4_splat(a->dt_max));
      f32 *out = d->values + 2 * r * d->stride + h;
      f4_store(out, dt);
      f4_store(out + d->stride, exp4(f4_mul(dt, A)));
    }
  }
}

// Channels [p, p + live) of head h, live ≤ 4 nv, through all rows of a segment.
INLINE void scan_block(const ssd_scan_args *a, const segment *g, const decays *d, const u32 nv, u32 h, u32 p,
                              u32 live) {
  const u32 d_state = a->d_state, x_at = h * a->headdim + p, group = h * a->ngroups / a->nheads * d_state;
  const u32 padded = (a->headdim + 3) & ~3u, last = live - 4 * (nv - 1); // channels of the last vector
  f32 *state = AT(f32, a->state.base + g->slot * a->state.stride) + (h * padded + p) * d_state; // [d_state][4 nv]
  f4 skip[4], u[4], y[4];
  for (u32 v = 0; v < nv; v++)
    skip[v] = a->D_has_hdim ? load_up_to(AT(const f32, a->D) + x_at + 4 * v, v + 1 < nv ? 4 : last)
                            : f4_splat(AT(const f32, a->D)[h]);
  for (u32 t = 0; t < g->rows; t++) {
    const u32 row = g->first + t;
    const f32 *B = view_row(&a->B, row) + group, *C = view_row(&a->C, row) + group; // [d_state]
    const f32 *x = view_row(&a->x, row) + x_at;
    const f32 *dt = d->values + 2 * row * d->stride + h;
    const f4 scale = f4_splat(dt[0]), decay = f4_splat(dt[d->stride]);
    for (u32 v = 0; v < nv; v++) {
      f4 input = load_up_to(x + 4 * v, v + 1 < nv ? 4 : last);
      u[v] = f4_mul(scale, input);
      y[v] = f4_mul(skip[v], input);
    }
    f32 *H = state;
    for (u32 n = 0; n < d_state; n++, H += 4 * nv) {
      const f4 b = f4_splat(B[n]), c = f4_splat(C[n]);
      for (u32 v = 0; v < nv; v++) {
        f4 next = f4_add(f4_mul(decay, f4_load(H + 4 * v)), f4_mul(u[v], b));
        f4_store(H + 4 * v, next);
        y[v] = f4_add(y[v], f4_mul(c, next));
      }
    }
    f32 *out = view_row(&a->y, row) + x_at;
    for (u32 v = 0; v < nv; v++) store_up_to(out + 4 * v, y[v], v + 1 < nv ? 4 : last);
  }
}

static void scan(const ssd_scan_args *a, const segment *g, const decays *d, u32 h, u32 p) {
  u32 live = a->headdim - p < SSD_BLOCK ? a->headdim - p : SSD_BLOCK;
  if (live > 12) scan_block(a, g, d, 4, h, p, live);
  else if (live > 8) scan_block(a, g, d, 3, h, p, live);
  else if (live > 4) scan_block(a, g, d, 2, h, p, live);
  else scan_block(a, g, d, 1, h, p, live);
}

// Blocks [begin, end) of all heads.
static void scan_blocks(const ssd_scan_args *a, const step *s, u32 begin, u32 end, const decays *d) {
  const u32 blocks = (a->headdim + SSD_BLOCK - 1) / SSD_BLOCK; // of a head
  if (begin == end) return;
  prepare_dt(a, s->rows, begin / blocks, (end - 1) / blocks + 1, d);
  for (u32 i = 0; i < s->n_segments; i++)
    for (u32 unit = begin; unit < end; unit++)
      scan(a, AT(const segment, s->segments) + i, d, unit / blocks, unit % blocks * SSD_BLOCK);
}

OP(ssd_scan) {
  const ssd_scan_args *a = arguments;
  const u32 blocks = (a->headdim + SSD_BLOCK - 1) / SSD_BLOCK;
  const decays d = {AT(f32, s->scratch + t->index * a->scratch_stride), (a->nheads + 3) & ~3u};
  if (s->rows == 1 || t->count == 1) {
    u32 begin, end;
    share(t, a->nheads * blocks, 1, &begin, &end);
    scan_blocks(a, s, begin, end, &d);
    return;
  }
  for (u32 head; (head = pool_next(t)) < a->nheads;) scan_blocks(a, s, head * blocks, (head + 1) * blocks, &d);
}
