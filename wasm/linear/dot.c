// Kernels of integer numerics: i8 dots where there is an instruction for them, else i16 ones, which give the same sums.
#include "weights.h"

enum { ROWS = 2 };  // input rows of the largest kernel here
enum { TILES = 8 }; // of a kernel for one input row

typedef struct { // of a kernel's `rows` input rows and the 8 rows of a tile
  i4 v[ROWS][2];
} sums;

// Adds word `i` of each row's codes; x[r] are pairs of i16.
INLINE void add_pairs(sums *s, const u8 *codes, const u8 *const *x, u32 i, u32 kind, u32 rows) {
  const u32 bits = kind == Q4_WEIGHTS ? 4 : 8, pairs = 16 / bits;
  const s8 low = s8_load(codes + 32 * i), high = s8_load(codes + 32 * i + 16), mask = s8_splat((i16)((1 << bits) - 1));
  UNROLL for (u32 p = 0; p < pairs; p++) {
    s8 a = p ? s8_shr(low, bits * p) : low, b = p ? s8_shr(high, bits * p) : high;
    if (p + 1 < pairs) a = s8_and(a, mask), b = s8_and(b, mask);
    UNROLL for (u32 r = 0; r < rows; r++) {
      const s8 k = s8_load_splat2(x[r] + 4 * (i * pairs + p));
      s->v[r][0] = i4_add(s->v[r][0], s8_dot(k, a));
      s->v[r][1] = i4_add(s->v[r][1], s8_dot(k, b));
    }
  }
}

#if SIMD_DOT7
// The same with x[r] as fours of i8: of 4-bit codes (`nibble` 2) both nibbles of a byte, of 8-bit codes one of them.
INLINE void add_fours(sums *s, const u8 *codes, const u8 *const *x, u32 i, u32 nibble, u32 rows) {
  const b16 low = b16_load(codes + 32 * i), high = b16_load(codes + 32 * i + 16), mask = b16_splat(15);
  const u32 fours = nibble == 2 ? 2 : 1;
  UNROLL for (u32 p = 0; p < fours; p++) {
    const u32 upper = nibble == 2 ? p : nibble;
    const b16 a = upper ? b16_high(low) : b16_and(low, mask), b = upper ? b16_high(high) : b16_and(high, mask);
    UNROLL for (u32 r = 0; r < rows; r++) {
      const b16 k = b16_load_splat4(x[r] + 4 * (i * fours + p));
      s->v[r][0] = b16_dot7(k, a, s->v[r][0]);
      s->v[r][1] = b16_dot7(k, b, s->v[r][1]);
    }
  }
}
#endif

INLINE void block_sums(sums *s, const u8 *codes, const u8 *const *x, u32 grains, u32 kind, u32 bytes, u32 rows) {
  const u32 words = grains * (kind == Q4_WEIGHTS ? 1 : 2);
  const u8 *columns[ROWS];
  i4 seeds[ROWS];
  UNROLL for (u32 r = 0; r < rows; r++) {
    columns[r] = x[r] + sizeof(block_head);
    seeds[r] = i4_load_splat(&((const block_head *)(const void *)x[r])->seed);
    s->v[r][0] = s->v[r][1] = seeds[r];
  }
#if SIMD_DOT7
  if (bytes == 1 && kind == Q4_WEIGHTS) {
    if (words == BLOCK / GRAIN) { // two halves, so that half as many dots wait for each other
      sums odd;
      UNROLL for (u32 r = 0; r < rows; r++) odd.v[r][0] = odd.v[r][1] = i4_splat(0);
      UNROLL for (u32 i = 0; i < BLOCK / GRAIN; i++) add_fours(i % 2 ? &odd : s, codes, columns, i, 2, rows);
      UNROLL for (u32 r = 0; r < rows; r++)
        UNROLL for (u32 h = 0; h < 2; h++) s->v[r][h] = i4_add(s->v[r][h], odd.v[r][h]);
    } else
      ROLL for (u32 i = 0; i < words; i++) add_fours(s, codes, columns, i, 2, rows);
    return;
  }
  if (bytes == 1) {
    UNROLL for (u32 r = 0; r < rows; r++) s->v[r][0] = s->v[r][1] = i4_splat(0);
    ROLL for (u32 i = 0; i < words; i++) add_fours(s, codes, columns, i, 1, rows);
    UNROLL for (u32 r = 0; r < rows; r++)
      UNROLL for (u32 h = 0; h < 2; h++) s->v[r][h] = i4_add(i4_shl(s->v[r][h], 4), seeds[r]);
    ROLL for (u32 i = 0; i < words; i++) add_fours(s, codes, columns, i, 0, rows);
    return;
  }
#endif
  (void)bytes;
  ROLL for (u32 i = 0; i < words; i++) add_pairs(s, codes, columns, i, kind, rows);
}

// Tiles [tile, tile + tiles) for input rows [row, row + rows), those beyond the last being the last once more.
INLINE void dot_tiles(const job *j, u32 row, u32 tile, u32 tiles, u32 kind, u32 bytes, u32 rows) {
  const weight_ref *w = &j->args->w;
  const u32 group = w->group, wide = w->wide, has_offset = w->has_offset, block = block_columns(w), cols = w->cols;
  const f4 half = f4_splat(half_factor(w));
  const u8 *codes[TILES], *x[ROWS];
  f4 acc[TILES][ROWS][2];
  f8 scale[TILES], offset[TILES];
  UNROLL for (u32 r = 0; r < rows; r++)
    x[r] = j->prepared + (size_t)(row + r < j->rows ? row + r : j->rows - 1) * j->args->row_bytes;
  UNROLL for (u32 k = 0; k < tiles; k++) {
    codes[k] = tile_at(w, tile + k);
    UNROLL for (u32 r = 0; r < rows; r++) acc[k][r][0] = acc[k][r][1] = f4_splat(0.0f);
  }
  for (u32 c = 0; c < cols; c += group) {
    const u32 columns = cols - c < group ? cols - c : group;
    UNROLL for (u32 k = 0; k < tiles; k++) {
      scale[k] = load_f8(codes[k], wide, half), codes[k] += scale_bytes(wide);
      if (has_offset) offset[k] = load_f8(codes[k], wide, half), codes[k] += scale_bytes(wide);
    }
    for (u32 i = 0; i < columns; i += block) {
      const u32 n = columns - i < block ? columns - i : block, grains = (n + GRAIN - 1) / GRAIN;
      UNROLL for (u32 k = 0; k < tiles; k++) {
        sums s;
        block_sums(&s, codes[k], x, grains, kind, bytes, rows);
        codes[k] += grains * grain_bytes(kind);
        UNROLL for (u32 r = 0; r < rows; r++) {
          const block_head *head = (const block_head *)(const void *)x[r];
          const f4 factor = f4_splat(head->scale), sum = f4_splat(head->sum);
          UNROLL for (u32 h = 0; h < 2; h++) {
            acc[k][r][h] = f4_add(acc[k][r][h], f4_mul(sum_floats(s.v[r][h], bytes), f4_mul(scale[k].v[h], factor)));
            if (has_offset) acc[k][r][h] = f4_add(acc[k][r][h], f4_mul(offset[k].v[h], sum));
          }
        }
      }
      UNROLL for (u32 r = 0; r < rows; r++) x[r] += sizeof(block_head) + grains * GRAIN * bytes;
    }
  }
  UNROLL for (u32 k = 0; k < tiles; k++)
    UNROLL for (u32 r = 0; r < rows && row + r < j->rows; r++)
      finish(j, row + r, tile + k, acc[k][r][0], acc[k][r][1]);
}

// One input row takes TILES tiles at a time: the processor fetches several streams of weights at once.
#define ONE(name, kind, bytes) \
  static void name##_1(const job *j, u32 row, u32 begin, u32 end) { \
    for (; begin + TILES <= end; begin += TILES) dot_tiles(j, row, begin, TILES, kind, bytes, 1); \
    for (; begin < end; begin++) dot_tiles(j, row, begin, 1, kind, bytes, 1); \
  }
#define MANY(name, kind, bytes, rows) \
  static void name##_##rows(const job *j, u32 row, u32 begin, u32 end) { \
    for (; begin < end; begin++) dot_tiles(j, row, begin, 1, kind, bytes, rows); \
  }
#if SMALL_CODE
#define KERNELS(name, kind, bytes) MANY(name, kind, bytes, 1)
#define CHOICE(name) ((kernels){name##_1, name##_1, name##_1})
#else
#define KERNELS(name, kind, bytes) ONE(name, kind, bytes) MANY(name, kind, bytes, 2)
#define CHOICE(name) ((kernels){name##_1, name##_2, dot_many(w)})
#endif

KERNELS(q4_pairs, Q4_WEIGHTS, 2)
KERNELS(q8_pairs, Q8_WEIGHTS, 2)
#if SIMD_DOT7
KERNELS(q4_fours, Q4_WEIGHTS, 1)
KERNELS(q8_fours, Q8_WEIGHTS, 1)
#endif

kernels dot_kernels(const weight_ref *w) {
  const int q4 = w->kind == Q4_WEIGHTS;
#if SIMD_DOT7
  if (w->numerics == I8) return q4 ? CHOICE(q4_fours) : CHOICE(q8_fours);
#endif
  return q4 ? CHOICE(q4_pairs) : CHOICE(q8_pairs);
}
