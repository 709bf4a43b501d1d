// Exact numerics for many input rows: a panel of a tile's columns is turned into floats once, for all rows of a strip.
#include "weights.h"

enum { ROWS = 4 };         // input rows that share the loads of a panel
enum { PANEL_BLOCKS = 8 }; // blocks of columns in a panel: 8 KiB, a quarter of the smallest L1

typedef struct { // columns of one tile
  u32 blocks;
  const f32 *values;                    // [columns, padded][8]
  f32 room[PANEL_BLOCKS * BLOCK][TILE]; // for values that had to be unpacked
  f32 scale[PANEL_BLOCKS][TILE];
  f32 bias[PANEL_BLOCKS][TILE];
} panel;

// One grain of values or codes as floats.
static void unpack_grain(const u8 *p, u32 kind, f4 half, f32 *out) {
  UNROLL for (u32 k = 0; k < GRAIN; k++, out += TILE) {
    if (kind == F16_WEIGHTS) store_f8(out, load_f8(p + 16 * k, 0, half));
    else
      UNROLL for (u32 h = 0; h < 2; h++) {
        f4 v = kind == Q4_WEIGHTS ? code_floats(i4_load(p + 16 * h), 4, k)
                                  : code_floats(i4_load(p + 32 * (k / 4) + 16 * h), 8, k % 4);
        f4_store(out + 4 * h, v);
      }
  }
}

// Unpacks, from *p on, which is column *c, as much as a panel takes; both advance.
static void fill_panel(panel *to, const weight_ref *w, const u8 **p, u32 *c) {
  const u32 kind = w->kind, quantized = kind >= Q4_WEIGHTS, block = block_columns(w);
  const f4 half = f4_splat(half_factor(w)), one = f4_splat(1.0f);
  f32 *out = to->room[0];
  f8 scale = {{one, one}}, bias = scale;
  to->values = kind == F32_WEIGHTS ? (const f32 *)(const void *)*p : out;
  for (to->blocks = 0; to->blocks < PANEL_BLOCKS && *c < w->cols; to->blocks++, *c += block) {
    if (quantized && *c % w->group == 0) {
      scale = load_f8(*p, w->wide, half), *p += scale_bytes(w->wide);
      if (w->has_bias) bias = load_f8(*p, w->wide, half), *p += scale_bytes(w->wide);
    }
    store_f8(to->scale[to->blocks], scale);
    store_f8(to->bias[to->blocks], bias);
    const u32 n = w->cols - *c < block ? w->cols - *c : block;
    for (u32 i = 0; i < n; i += GRAIN, *p += grain_bytes(kind)) {
      if (kind == F32_WEIGHTS) continue;
      unpack_grain(*p, kind, half, out);
      out += GRAIN * TILE;
    }
  }
}

// Adds a panel, `cols` columns without padding, to what 4 input rows have accumulated; x[r] advances.
static void add_panel(const panel *from, const weight_ref *w, u32 cols, const u8 **x, f32 (*acc)[TILE]) {
  const u32 block = block_columns(w), has_bias = w->has_bias;
  const f32 *v = from->values;
  for (u32 b = 0; b < from->blocks; b++, cols -= block) {
    const u32 n = cols < block ? cols : block;
    const f32 *columns[ROWS];
    f4 partial[ROWS][2];
    UNROLL for (u32 r = 0; r < ROWS; r++) {
      partial[r][0] = partial[r][1] = f4_splat(((const block_head *)(const void *)x[r])->seed_f32);
      columns[r] = (const f32 *)(const void *)(x[r] + sizeof(block_head));
    }
    for (u32 i = 0; i < n; i += GRAIN) {
      UNROLL for (u32 k = 0; k < GRAIN; k++, v += TILE) {
        const f4 low = f4_load(v), high = f4_load(v + 4);
        UNROLL for (u32 r = 0; r < ROWS; r++) {
          const f4 xs = f4_splat(columns[r][k]);
          partial[r][0] = f4_add(partial[r][0], f4_mul(low, xs));
          partial[r][1] = f4_add(partial[r][1], f4_mul(high, xs));
        }
      }
      UNROLL for (u32 r = 0; r < ROWS; r++) columns[r] += GRAIN;
    }
    UNROLL for (u32 r = 0; r < ROWS; r++) {
      const f4 sum = f4_splat(((const block_head *)(const void *)x[r])->sum);
      UNROLL for (u32 h = 0; h < 2; h++) {
        f4 a = f4_add(f4_load(acc[r] + 4 * h), f4_mul(partial[r][h], f4_load(from->scale[b] + 4 * h)));
        if (has_bias) a = f4_add(a, f4_mul(f4_load(from->bias[b] + 4 * h), sum));
        f4_store(acc[r] + 4 * h, a);
      }
      x[r] = (const u8 *)columns[r];
    }
  }
}

// One tile for input rows [row, row + rows), at most STRIP.
static void strip_tile(const job *j, u32 row, u32 rows, u32 tile) {
  const weight_ref *w = &j->args->w;
  panel columns;
  f32 acc[STRIP + ROWS][TILE]; // the last tile of rows may be short
  for (u32 r = 0; r < rows + ROWS; r++)
    for (u32 h = 0; h < TILE; h += 4) f4_store(acc[r] + h, f4_splat(0.0f));
  const u8 *p = tile_at(w, tile);
  for (u32 c = 0; c < w->cols;) {
    const u32 begin = c, offset = begin / block_columns(w) * block_bytes(w);
    fill_panel(&columns, w, &p, &c);
    for (u32 r = 0; r < rows; r += ROWS) {
      const u8 *x[ROWS];
      UNROLL for (u32 k = 0; k < ROWS; k++)
        x[k] = j->prepared + (size_t)(row + (r + k < rows ? r + k : rows - 1)) * j->args->row_bytes + offset;
      add_panel(&columns, w, w->cols - begin, x, acc + r);
    }
  }
  for (u32 r = 0; r < rows; r++) finish(j, row + r, tile, f4_load(acc[r]), f4_load(acc[r] + 4));
}

void exact_many(const job *j, u32 row, u32 begin, u32 end) {
  const u32 rows = j->rows - row < STRIP ? j->rows - row : STRIP;
  for (u32 tile = begin; tile < end; tile++) strip_tile(j, row, rows, tile);
}
