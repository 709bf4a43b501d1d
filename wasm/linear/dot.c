// Kernels of integer numerics: i8 dots where there is an instruction for them, else i16 ones, which give the same sums.
#include "weights.h"

enum { ROWS = 4 }; // input rows of the largest kernel

typedef struct { // of a kernel's `rows` input rows and the 8 rows of a tile
  i4 v[ROWS][2];
} sums;

// Adds what `grains` grains contribute; x[r] are i16 pairs.
INLINE void add_pairs(sums *s, const u8 *codes, const u8 *const *x, u32 grains, u32 kind, u32 rows) {
  const u32 words = kind == Q4_WEIGHTS ? 1 : 2, pairs = 4 / words; // of a grain; pairs of columns in a word
  for (u32 i = 0; i < grains * words; i++) {
    const s8 low = s8_load(codes + 32 * i), high = s8_load(codes + 32 * i + 16);
    for (u32 p = 0; p < pairs; p++) {
      const u32 bits = kind == Q4_WEIGHTS ? 4 : 8;
      s8 a = p ? s8_shr(low, bits * p) : low, b = p ? s8_shr(high, bits * p) : high;
      if (p + 1 < pairs) {
        const s8 mask = s8_splat((i16)((1 << bits) - 1));
        a = s8_and(a, mask), b = s8_and(b, mask);
      }
      for (u32 r = 0; r < rows; r++) {
        const s8 k = s8_load_splat2(x[r] + 4 * (i * pairs + p));
        s->v[r][0] = i4_add(s->v[r][0], s8_dot(k, a));
        s->v[r][1] = i4_add(s->v[r][1], s8_dot(k, b));
      }
    }
  }
}

#if SIMD_DOT7
// The same with x[r] as bytes; of 8-bit codes only the upper or the lower nibbles.
INLINE void add_fours(sums *s, const u8 *codes, const u8 *const *x, u32 grains, u32 kind, u32 rows, int upper) {
  const b16 mask = b16_splat(15);
  const u32 words = kind == Q4_WEIGHTS ? 1 : 2;
  for (u32 i = 0; i < grains * words; i++) {
    const b16 low = b16_load(codes + 32 * i), high = b16_load(codes + 32 * i + 16);
    for (u32 p = 0; p < 2 / words; p++) {
      const int shift = kind == Q4_WEIGHTS ? p == 1 : upper;
      const b16 a = shift ? b16_high(low) : b16_and(low, mask), b = shift ? b16_high(high) : b16_and(high, mask);
      for (u32 r = 0; r < rows; r++) {
        const b16 k = b16_load_splat4(x[r] + 4 * (i * (2 / words) + p));
        s->v[r][0] = b16_dot7(k, a, s->v[r][0]);
        s->v[r][1] = b16_dot7(k, b, s->v[r][1]);
      }
    }
  }
}
#endif

INLINE void block_sums(
    sums *s, const u8 *codes, const u8 *const *x, u32 grains, u32 kind, u32 bytes, u32 rows) {
  const u8 *columns[ROWS];
  i4 seeds[ROWS];
  for (u32 r = 0; r < rows; r++) {
    columns[r] = x[r] + sizeof(block_head);
    seeds[r] = i4_splat(((const block_head *)(const void *)x[r])->seed);
    s->v[r][0] = s->v[r][1] = seeds[r];
  }
#if SIMD_DOT7
  if (bytes == 1) {
    if (kind == Q8_WEIGHTS) {
      for (u32 r = 0; r < rows; r++) s->v[r][0] = s->v[r][1] = i4_splat(0);
      add_fours(s, codes, columns, grains, kind, rows, 1);
      for (u32 r = 0; r < rows; r++)
        for (u32 h = 0; h < 2; h++) s->v[r][h] = i4_add(i4_shl(s->v[r][h], 4), seeds[r]);
    }
    add_fours(s, codes, columns, grains, kind, rows, 0);
    return;
  }
#endif
  (void)bytes;
  add_pairs(s, codes, columns, grains, kind, rows);
}

// Input rows [row, row + rows), those beyond the last being the last once more. `plain`: groups of 32, f16 scales, no
// offsets.
INLINE void dot_tiles(const job *j, u32 row, u32 begin, u32 end, u32 kind, u32 bytes, u32 rows, int plain) {
  const weight_ref *w = &j->args->w;
  const u32 group = plain ? BLOCK : w->group, wide = plain ? 0 : w->wide, has_offset = plain ? 0 : w->has_offset;
  const u32 block = group < BLOCK ? group : BLOCK, cols = w->cols;
  const f4 half = f4_splat(half_factor(w));
  for (u32 tile = begin; tile < end; tile++) {
    const u8 *codes = tile_at(w, tile), *x[ROWS];
    f4 acc[ROWS][2];
    for (u32 r = 0; r < rows; r++) {
      x[r] = j->prepared + (row + r < j->rows ? row + r : j->rows - 1) * j->args->row_bytes;
      acc[r][0] = acc[r][1] = f4_splat(0.0f);
    }
    for (u32 c = 0; c < cols; c += group) {
      const u32 columns = cols - c < group ? cols - c : group;
      const f8 scale = load_f8(codes, wide, half);
      f8 offset = scale;
      codes += scale_bytes(wide);
      if (has_offset) offset = load_f8(codes, wide, half), codes += scale_bytes(wide);
      for (u32 i = 0; i < columns; i += block) {
        const u32 n = columns - i < block ? columns - i : block, grains = (n + GRAIN - 1) / GRAIN;
        sums s;
        if (grains == BLOCK / GRAIN) block_sums(&s, codes, x, BLOCK / GRAIN, kind, bytes, rows);
        else block_sums(&s, codes, x, grains, kind, bytes, rows);
        for (u32 r = 0; r < rows; r++) {
          const block_head *head = (const block_head *)(const void *)x[r];
          const f4 factor = f4_splat(head->scale), sum = f4_splat(head->sum);
          for (u32 h = 0; h < 2; h++) {
            acc[r][h] = f4_add(acc[r][h], f4_mul(i4_convert(s.v[r][h]), f4_mul(scale.v[h], factor)));
            if (has_offset) acc[r][h] = f4_add(acc[r][h], f4_mul(offset.v[h], sum));
          }
          x[r] += sizeof(block_head) + grains * GRAIN * bytes;
        }
        codes += grains * grain_bytes(kind);
      }
    }
    for (u32 r = 0; r < rows && row + r < j->rows; r++) finish(j, row + r, tile, acc[r][0], acc[r][1]);
  }
}

#define KERNEL(name, kind, bytes, plain, rows) \
  static void name##_##rows(const job *j, u32 row, u32 begin, u32 end) { \
    dot_tiles(j, row, begin, end, kind, bytes, rows, plain); \
  }
#define KERNELS(name, kind, bytes, plain) \
  KERNEL(name, kind, bytes, plain, 1) KERNEL(name, kind, bytes, plain, 2) KERNEL(name, kind, bytes, plain, 4)

KERNELS(q4_i16, Q4_WEIGHTS, 2, 1)
KERNELS(q8_i16, Q8_WEIGHTS, 2, 1)
KERNELS(q4_i16_any, Q4_WEIGHTS, 2, 0)
KERNELS(q8_i16_any, Q8_WEIGHTS, 2, 0)
#if SIMD_DOT7
KERNELS(q4_i8, Q4_WEIGHTS, 1, 1)
KERNELS(q8_i8, Q8_WEIGHTS, 1, 1)
KERNELS(q4_i8_any, Q4_WEIGHTS, 1, 0)
KERNELS(q8_i8_any, Q8_WEIGHTS, 1, 0)
#endif

#define CHOICE(name) ((kernels){name##_1, name##_2, name##_4})

kernels dot_kernels(const weight_ref *w) {
  const int plain = w->group == BLOCK && !w->wide && !w->has_offset, q4 = w->kind == Q4_WEIGHTS;
#if SIMD_DOT7
  if (w->numerics == I8) {
    if (plain) return q4 ? CHOICE(q4_i8) : CHOICE(q8_i8);
    return q4 ? CHOICE(q4_i8_any) : CHOICE(q8_i8_any);
  }
#endif
  if (plain) return q4 ? CHOICE(q4_i16) : CHOICE(q8_i16);
  return q4 ? CHOICE(q4_i16_any) : CHOICE(q8_i16_any);
}
