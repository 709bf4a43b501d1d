// Kernels of integer numerics: i8 dots where there is an instruction for them, else i16 ones, which give the same sums.
// One input row: STREAMS tiles at a time, each the next of its own part of the weights. Processors fetch ahead what is
// read in order, but of one stream too little.
#include "weights.h"

enum { ROWS = 2 };    // input rows of the largest kernel here
enum { STREAMS = 4 };

typedef struct { // of a kernel's input rows and the 8 rows of a tile, over a block
  i4 v[ROWS][2];
  s8 pairs[ROWS][2]; // 16-bit sums, of FOURS_16
} sums;

INLINE s8 code_pair(s8 codes, u32 bits, u32 p, s8 mask) {
  const s8 shifted = p ? s8_shr(codes, bits * p) : codes;
  return (p + 1) * bits < 16 ? s8_and(shifted, mask) : shifted;
}

// Adds pair p of word i of each row's codes; x[r] are pairs of i16.
INLINE void add_pair(sums *s, s8 low, s8 high, const u8 *const *x, u32 i, u32 p, u32 bits, u32 rows, s8 mask) {
  const s8 a = code_pair(low, bits, p, mask), b = code_pair(high, bits, p, mask);
  UNROLL for (u32 r = 0; r < rows; r++) {
    const s8 k = s8_load_splat2(x[r] + 4 * (i * (16 / bits) + p));
    s->v[r][0] = i4_add(s->v[r][0], s8_dot(k, a));
    s->v[r][1] = i4_add(s->v[r][1], s8_dot(k, b));
  }
}

INLINE void add_pairs(sums *s, const u8 *codes, const u8 *const *x, u32 i, u32 kind, u32 rows, s8 mask) {
  const u32 bits = kind == Q4_WEIGHTS ? 4 : 8;
  const s8 low = s8_load(codes + 32 * i), high = s8_load(codes + 32 * i + 16);
  add_pair(s, low, high, x, i, 0, bits, rows, mask);
  add_pair(s, low, high, x, i, 1, bits, rows, mask);
  if (bits == 8) return;
  add_pair(s, low, high, x, i, 2, bits, rows, mask);
  add_pair(s, low, high, x, i, 3, bits, rows, mask);
}

#if SIMD_DOT7
enum { LOW = 1, HIGH = 2, BOTH = 3 }; // nibbles of a byte

// The same with x[r] as fours of i8: of 4-bit codes both nibbles, of 8-bit codes one of them.
INLINE void add_fours(sums *s, const u8 *codes, const u8 *const *x, u32 i, u32 nibbles, u32 dot, u32 rows, b16 mask) {
  const b16 low = b16_load(codes + 32 * i), high = b16_load(codes + 32 * i + 16);
  UNROLL for (u32 nibble = LOW; nibble <= HIGH; nibble++) {
    if (!(nibbles & nibble)) continue;
    const b16 a = nibble == HIGH ? b16_high(low, mask) : b16_and(low, mask);
    const b16 b = nibble == HIGH ? b16_high(high, mask) : b16_and(high, mask);
    const u32 four = nibbles == BOTH ? 2 * i + nibble - LOW : i;
    UNROLL for (u32 r = 0; r < rows; r++) {
      const b16 k = b16_load_splat4(x[r] + 4 * four);
      if (dot == FOURS_16) {
        s->pairs[r][0] = s8_add(s->pairs[r][0], b16_dot7_pairs(k, a));
        s->pairs[r][1] = s8_add(s->pairs[r][1], b16_dot7_pairs(k, b));
        SETTLE(s->pairs[r][0]);
        SETTLE(s->pairs[r][1]);
      } else {
        s->v[r][0] = b16_dot7(k, a, s->v[r][0]);
        s->v[r][1] = b16_dot7(k, b, s->v[r][1]);
      }
    }
  }
}

// Adds so many words, of which a block has at most 4, or 8 where it is one nibble that is added.
INLINE void add_words(sums *s, const u8 *codes, const u8 *const *x, u32 words, u32 nibbles, u32 dot, u32 rows, int usual,
                      const constants *k) {
  if (dot == FOURS_16) UNROLL for (u32 r = 0; r < rows; r++) s->pairs[r][0] = s->pairs[r][1] = s8_splat(0);
  if (usual) {
    UNROLL for (u32 i = 0; i < words; i++) add_fours(s, codes, x, i, nibbles, dot, rows, k->nibble);
  } else
    ROLL for (u32 i = 0; i < words; i++) add_fours(s, codes, x, i, nibbles, dot, rows, k->nibble);
  if (dot == FOURS_16)
    UNROLL for (u32 r = 0; r < rows; r++)
      UNROLL for (u32 h = 0; h < 2; h++) s->v[r][h] = i4_add(s->v[r][h], s8_dot(s->pairs[r][h], k->one));
}
#endif

INLINE void block_sums(sums *s, const u8 *codes, const u8 *const *x, u32 grains, u32 kind, u32 dot, u32 rows, int usual,
                       const constants *k) {
  const u32 words = grains * (kind == Q4_WEIGHTS ? 1 : 2);
  const int halves = kind == Q8_WEIGHTS && dot != PAIRS; // the upper nibbles first, 16-fold
  const u8 *columns[ROWS];
  i4 seeds[ROWS];
  UNROLL for (u32 r = 0; r < rows; r++) {
    columns[r] = x[r] + sizeof(block_head);
    seeds[r] = i4_load_splat(&((const block_head *)(const void *)x[r])->seed);
    s->v[r][0] = s->v[r][1] = halves ? i4_splat(0) : seeds[r];
  }
#if SIMD_DOT7
  if (halves) {
    add_words(s, codes, columns, words, HIGH, dot, rows, usual, k);
    UNROLL for (u32 r = 0; r < rows; r++)
      UNROLL for (u32 h = 0; h < 2; h++) s->v[r][h] = i4_add(i4_shl(s->v[r][h], 4), seeds[r]);
  }
  if (dot != PAIRS) {
    add_words(s, codes, columns, words, halves ? LOW : BOTH, dot, rows, usual, k);
    return;
  }
#endif
  (void)usual;
  for (u32 i = 0; i < words; i++) { // not unrolled: TurboFan would load all inputs of a block before it uses any
    add_pairs(s, codes, columns, i, kind, rows, k->code);
    SETTLE(s->v[0][0]);
  }
}

// Tiles `tile`, tile + apart, … for input rows [row, row + rows), those beyond the last being the last once more.
// `usual`: whole blocks of 32 columns, scales of 16 bits and no biases.
INLINE void dot_tiles(const job *j, u32 row, u32 tile, u32 tiles, u32 apart, u32 kind, u32 dot, u32 rows, int usual) {
  const weight_ref *w = &j->args->w;
  const u32 wide = usual ? 0 : w->wide, has_bias = usual ? 0 : w->has_bias;
  const u32 group = w->group, block = usual ? BLOCK : block_columns(w), cols = w->cols;
  const constants k = constants_of(w, kind);
  const u8 *codes[STREAMS], *x[ROWS];
  f4 acc[STREAMS][ROWS][2];
  f8 scale[STREAMS], bias[STREAMS];
  UNROLL for (u32 r = 0; r < rows; r++)
    x[r] = j->prepared + (size_t)(row + r < j->rows ? row + r : j->rows - 1) * j->args->row_bytes;
  UNROLL for (u32 t = 0; t < tiles; t++) {
    codes[t] = tile_at(w, tile + t * apart);
    UNROLL for (u32 r = 0; r < rows; r++) acc[t][r][0] = acc[t][r][1] = f4_splat(0.0f);
  }
  for (u32 c = 0, left = 0, n; c < cols; c += n, left -= n) { // left: columns of the group
    if (left == 0) {
      left = usual || cols - c > group ? group : cols - c;
      UNROLL for (u32 t = 0; t < tiles; t++) {
        scale[t] = load_f8(codes[t], wide, k.half), codes[t] += scale_bytes(wide);
        if (has_bias) bias[t] = load_f8(codes[t], wide, k.half), codes[t] += scale_bytes(wide);
      }
    }
    n = usual ? BLOCK : left < block ? left : block;
    const u32 grains = (n + GRAIN - 1) / GRAIN;
    UNROLL for (u32 t = 0; t < tiles; t++) {
      sums s;
      block_sums(&s, codes[t], x, grains, kind, dot, rows, usual, &k);
      codes[t] += grains * grain_bytes(kind);
      UNROLL for (u32 r = 0; r < rows; r++) {
        const block_head *head = (const block_head *)(const void *)x[r];
        const f4 factor = f4_splat(head->scale), sum = f4_splat(head->sum);
        UNROLL for (u32 h = 0; h < 2; h++) {
          f4 *a = &acc[t][r][h];
          *a = f4_add(*a, f4_mul(sum_floats(s.v[r][h], dot, k.magic), f4_mul(scale[t].v[h], factor)));
          if (has_bias) *a = f4_add(*a, f4_mul(bias[t].v[h], sum));
          SETTLE(*a);
        }
      }
    }
    UNROLL for (u32 r = 0; r < rows; r++) x[r] += sizeof(block_head) + grains * GRAIN * dot_bytes(dot);
  }
  UNROLL for (u32 t = 0; t < tiles; t++)
    UNROLL for (u32 r = 0; r < rows && row + r < j->rows; r++)
      finish(j, row + r, tile + t * apart, acc[t][r][0], acc[t][r][1]);
}

INLINE int is_usual(const weight_ref *w) { return !(w->group % BLOCK || w->cols % w->group || w->has_bias || w->wide); }

#define ONE(name, kind, dot) \
  static void name##_1(const job *j, u32 row, u32 begin, u32 end) { \
    if (!SMALL_CODE && is_usual(&j->args->w)) { \
      const u32 apart = (end - begin) / STREAMS; \
      for (u32 i = 0; i < apart; i++) dot_tiles(j, row, begin + i, STREAMS, apart, kind, dot, 1, 1); \
      begin += STREAMS * apart; \
    } \
    for (; begin < end; begin++) dot_tiles(j, row, begin, 1, 1, kind, dot, 1, 0); \
  }
#define TWO(name, kind, dot) \
  static void name##_2(const job *j, u32 row, u32 begin, u32 end) { \
    if (is_usual(&j->args->w)) \
      for (; begin < end; begin++) dot_tiles(j, row, begin, 1, 1, kind, dot, 2, 1); \
    for (; begin < end; begin++) dot_tiles(j, row, begin, 1, 1, kind, dot, 2, 0); \
  }
#if SMALL_CODE
#define KERNELS(name, kind, dot) ONE(name, kind, dot)
#define CHOICE(name) ((kernels){name##_1, name##_1, name##_1})
#else
#define KERNELS(name, kind, dot) ONE(name, kind, dot) TWO(name, kind, dot)
#define CHOICE(name) ((kernels){name##_1, name##_2, dot_many(w, sum16)})
#endif

EACH_DOT(KERNELS)

kernels dot_kernels(const weight_ref *w, u32 sum16) {
  const u32 dot = dot_of(w, sum16);
#define CHOOSE(name, of_kind, of_dot) \
  if (w->kind == of_kind && dot == of_dot) return CHOICE(name);
  EACH_DOT(CHOOSE)
  __builtin_unreachable();
}
