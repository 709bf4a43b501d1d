// Kernels of exact numerics for one or two input rows: f32 inputs, weights turned into floats on the way. Four chains
// of additions run beside each other: two tiles, or two rows.
#include "weights.h"

// Columns [8 i, 8 i + 8) of a tile's values or codes: partial sums of `rows` input rows.
INLINE void add_grain(f4 partial[][2], const u8 *p, const f32 *const *x, u32 kind, u32 rows, f4 half) {
  UNROLL for (u32 i = 0; i < GRAIN; i++) {
    f8 v;
    if (kind < Q4_WEIGHTS) v = load_f8(p + scale_bytes(kind == F32_WEIGHTS) * i, kind == F32_WEIGHTS, half);
    else {
      const u32 bits = kind == Q4_WEIGHTS ? 4 : 8, word = i * bits / 32, at = i % (32 / bits);
      UNROLL for (u32 h = 0; h < 2; h++) v.v[h] = code_floats(i4_load(p + 32 * word + 16 * h), bits, at);
    }
    UNROLL for (u32 r = 0; r < rows; r++)
      UNROLL for (u32 h = 0; h < 2; h++) partial[r][h] = f4_add(partial[r][h], f4_mul(v.v[h], f4_splat(x[r][i])));
  }
}

// Tiles [tile, tile + tiles), input rows [row, row + rows).
INLINE void exact_tiles(const job *j, u32 row, u32 tile, u32 tiles, u32 kind, u32 rows) {
  const weight_ref *w = &j->args->w;
  const u32 quantized = kind >= Q4_WEIGHTS, block = quantized ? block_columns(w) : BLOCK, cols = w->cols;
  const f4 half = f4_splat(half_factor(w));
  const u8 *p = tile_at(w, tile), *x[2];
  f4 acc[2][2][2]; // tile, row, half of the tile
  UNROLL for (u32 k = 0; k < tiles; k++)
    UNROLL for (u32 r = 0; r < rows; r++) {
      x[r] = j->prepared + (size_t)(row + r) * j->args->row_bytes;
      acc[k][r][0] = acc[k][r][1] = f4_splat(0.0f);
    }
  f8 scale[2], bias[2];
  for (u32 c = 0, left = 0; c < cols; c += block) {
    if (quantized && left == 0) { // a group begins
      left = w->group;
      UNROLL for (u32 k = 0; k < tiles; k++) {
        scale[k] = load_f8(p + k * w->tile_bytes, w->wide, half);
        if (w->has_bias) bias[k] = load_f8(p + k * w->tile_bytes + scale_bytes(w->wide), w->wide, half);
      }
      p += scale_bytes(w->wide) << w->has_bias;
    }
    left -= block;
    const u32 n = cols - c < block ? cols - c : block, grains = (n + GRAIN - 1) / GRAIN;
    const f32 *columns[2];
    f4 partial[2][2][2];
    UNROLL for (u32 r = 0; r < rows; r++) {
      columns[r] = (const f32 *)(const void *)(x[r] + sizeof(block_head));
      UNROLL for (u32 k = 0; k < tiles; k++)
        partial[k][r][0] = partial[k][r][1] = f4_splat(((const block_head *)(const void *)x[r])->seed_f32);
    }
    for (u32 i = 0; i < grains; i++, p += grain_bytes(kind)) {
      UNROLL for (u32 k = 0; k < tiles; k++) add_grain(partial[k], p + k * w->tile_bytes, columns, kind, rows, half);
      UNROLL for (u32 r = 0; r < rows; r++) columns[r] += GRAIN;
    }
    UNROLL for (u32 r = 0; r < rows; r++) {
      const f4 sum = f4_splat(((const block_head *)(const void *)x[r])->sum);
      UNROLL for (u32 k = 0; k < tiles; k++)
        UNROLL for (u32 h = 0; h < 2; h++) {
          f4 part = quantized ? f4_mul(partial[k][r][h], scale[k].v[h]) : partial[k][r][h];
          acc[k][r][h] = f4_add(acc[k][r][h], part);
          if (quantized && w->has_bias) acc[k][r][h] = f4_add(acc[k][r][h], f4_mul(bias[k].v[h], sum));
        }
      x[r] = (const u8 *)columns[r];
    }
  }
  UNROLL for (u32 k = 0; k < tiles; k++)
    UNROLL for (u32 r = 0; r < rows; r++) finish(j, row + r, tile + k, acc[k][r][0], acc[k][r][1]);
}

#define ONE(name, kind) \
  static void name##_1(const job *j, u32 row, u32 begin, u32 end) { \
    for (; begin + 2 <= end; begin += 2) exact_tiles(j, row, begin, 2, kind, 1); \
    if (begin < end) exact_tiles(j, row, begin, 1, kind, 1); \
  }
#define TWO(name, kind) \
  static void name##_2(const job *j, u32 row, u32 begin, u32 end) { \
    for (; begin < end; begin++) exact_tiles(j, row, begin, 1, kind, 2); \
  }
#if SMALL_CODE
#define KERNELS(name, kind) ONE(name, kind)
#define CHOICE(name) ((kernels){name##_1, name##_1, name##_1})
#else
#define KERNELS(name, kind) ONE(name, kind) TWO(name, kind)
#define CHOICE(name) ((kernels){name##_1, name##_2, exact_many})
#endif

KERNELS(f32, F32_WEIGHTS)
KERNELS(f16, F16_WEIGHTS)
KERNELS(q4, Q4_WEIGHTS)
KERNELS(q8, Q8_WEIGHTS)

kernels exact_kernels(const weight_ref *w) {
  if (w->kind == F32_WEIGHTS) return CHOICE(f32);
  if (w->kind == F16_WEIGHTS) return CHOICE(f16);
  return w->kind == Q4_WEIGHTS ? CHOICE(q4) : CHOICE(q8);
}
