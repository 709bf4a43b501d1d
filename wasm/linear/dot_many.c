// Integer numerics for many input rows: a panel of a tile's codes is unpacked once, for all rows of a strip.
#include "weights.h"

enum { ROWS = 5 };          // input rows that share the loads of a panel
enum { FOURS_OF_BLOCK = BLOCK / 4 };
enum { PANEL_BLOCKS = 32 }; // blocks of columns in a panel of bytes; of 16-bit codes, or bytes in two halves, half
enum { PANEL_BYTES = PANEL_BLOCKS * BLOCK * TILE };

typedef struct { // columns of one tile; vectors that cross no line of the cache
  _Alignas(64) u8 codes[PANEL_BYTES]; // [columns, padded, / (4 or 2)][8][4 or 2]; of q8 in bytes each block's upper nibbles first
  f32 scale[PANEL_BLOCKS][TILE];
  f32 bias[PANEL_BLOCKS][TILE];
  f32 last_scale[TILE];
  f32 last_bias[TILE];
  u32 blocks;
} panel;

// Pairs or fours of codes of one block, as wide as the inputs. Returns the end of what was written.
INLINE u8 *unpack_block(const u8 *p, u32 grains, u32 kind, u32 bytes, u8 *out) {
  const u32 words = grains * (kind == Q4_WEIGHTS ? 1 : 2), bits = kind == Q4_WEIGHTS ? 4 : 8;
  if (bytes == 2) {
    const s8 mask = s8_splat((i16)((1 << bits) - 1));
    for (u32 i = 0; i < words; i++, p += 32)
      UNROLL for (u32 k = 0; k < 16 / bits; k++)
        UNROLL for (u32 h = 0; h < 2; h++, out += 16) {
          const s8 code = s8_load(p + 16 * h);
          s8_store(out, s8_and(k ? s8_shr(code, bits * k) : code, mask));
        }
    return out;
  }
  const b16 mask = b16_splat(15);
  if (kind == Q4_WEIGHTS) {
    for (u32 i = 0; i < words; i++, p += 32, out += 64)
      UNROLL for (u32 h = 0; h < 2; h++) {
        const b16 code = b16_load(p + 16 * h);
        b16_store(out + 16 * h, b16_and(code, mask));
        b16_store(out + 32 + 16 * h, b16_high(code, mask));
      }
    return out;
  }
  for (u32 i = 0; i < 2 * words; i++, p += 16, out += 16) {
    const b16 code = b16_load(p);
    b16_store(out, b16_high(code, mask));
    b16_store(out + 32 * words, b16_and(code, mask));
  }
  return out + 32 * words;
}

// Unpacks, from *p on, which is column *c, as much as a panel takes; both advance.
INLINE void fill_panel(panel *to, const weight_ref *w, const u8 **p, u32 *c, u32 kind, u32 bytes) {
  const u32 block = block_columns(w), wide = w->wide;
  const u32 room = kind == Q8_WEIGHTS || bytes == 2 ? PANEL_BLOCKS / 2 : PANEL_BLOCKS;
  const f4 half = f4_splat(half_factor(w));
  f8 scale = load_f8((const u8 *)to->last_scale, 1, half), bias = load_f8((const u8 *)to->last_bias, 1, half);
  u8 *out = to->codes;
  for (to->blocks = 0; to->blocks < room && *c < w->cols; to->blocks++, *c += block) {
    if (*c % w->group == 0) {
      scale = load_f8(*p, wide, half), *p += scale_bytes(wide);
      if (w->has_bias) bias = load_f8(*p, wide, half), *p += scale_bytes(wide);
    }
    store_f8(to->scale[to->blocks], scale);
    store_f8(to->bias[to->blocks], bias);
    const u32 n = w->cols - *c < block ? w->cols - *c : block, grains = (n + GRAIN - 1) / GRAIN;
    out = unpack_block(*p, grains, kind, bytes, out);
    *p += grains * grain_bytes(kind);
  }
  store_f8(to->last_scale, scale); // the group may go on in the next panel
  store_f8(to->last_bias, bias);
}

INLINE i4 seed_of(const u8 *x) { return i4_load_splat(&((const block_head *)(const void *)x)->seed); }

typedef struct { // of one input row and the 8 rows of a tile, over a block
  i4 v[2];
  s8 pairs[2]; // 16-bit sums, of FOURS_16
} sums;

// Adds a pair or a four of codes to the sums of ROWS input rows.
INLINE void add_step(sums *s, const u8 *codes, const u8 *const *columns, u32 offset, u32 dot) {
  const b16 code[2] = {b16_load(codes), b16_load(codes + 16)};
  UNROLL for (u32 r = 0; r < ROWS; r++) {
    const u8 *x = columns[r] + offset;
#if SIMD_DOT7
    const b16 four = b16_load_splat4(x);
    if (dot == FOURS_16)
      UNROLL for (u32 h = 0; h < 2; h++) s[r].pairs[h] = s8_add(s[r].pairs[h], b16_dot7_pairs(four, code[h]));
    else if (dot == FOURS)
      UNROLL for (u32 h = 0; h < 2; h++) s[r].v[h] = b16_dot7(four, code[h], s[r].v[h]);
    else
#endif
      UNROLL for (u32 h = 0; h < 2; h++)
        s[r].v[h] = i4_add(s[r].v[h], s8_dot(s8_load_splat2(x), b16_pairs(code[h])));
    UNROLL for (u32 h = 0; h < 2; h++) {
      if (dot == FOURS_16) SETTLE(s[r].pairs[h]);
      else SETTLE(s[r].v[h]);
    }
  }
}

// Adds `steps` pairs or fours, at most a block's, to the sums of ROWS input rows.
INLINE void add_steps(sums *s, const u8 *codes, const u8 *const *columns, u32 steps, u32 dot, s8 one) {
  if (dot == FOURS_16) UNROLL for (u32 r = 0; r < ROWS; r++) s[r].pairs[0] = s[r].pairs[1] = s8_splat(0);
  if (dot != PAIRS && steps == FOURS_OF_BLOCK) {
    UNROLL for (u32 i = 0; i < FOURS_OF_BLOCK; i++) add_step(s, codes + 32 * i, columns, 4 * i, dot);
  } else
    ROLL for (u32 i = 0; i < steps; i++) add_step(s, codes + 32 * i, columns, 4 * i, dot);
  if (dot == FOURS_16)
    UNROLL for (u32 r = 0; r < ROWS; r++)
      UNROLL for (u32 h = 0; h < 2; h++) s[r].v[h] = i4_add(s[r].v[h], s8_dot(s[r].pairs[h], one));
}

// Sums of one block: seeds, then all steps, of q8 in bytes the upper nibbles 16-fold.
INLINE void sum_block(sums *s, const u8 *codes, const u8 *const *x, u32 steps, u32 kind, u32 dot, s8 one) {
  const int halves = kind == Q8_WEIGHTS && dot != PAIRS;
  const u8 *columns[ROWS];
  UNROLL for (u32 r = 0; r < ROWS; r++) {
    s[r].v[0] = s[r].v[1] = halves ? i4_splat(0) : seed_of(x[r]);
    columns[r] = x[r] + sizeof(block_head);
  }
  if (halves) {
    add_steps(s, codes, columns, steps, dot, one);
    UNROLL for (u32 r = 0; r < ROWS; r++)
      UNROLL for (u32 h = 0; h < 2; h++) s[r].v[h] = i4_add(i4_shl(s[r].v[h], 4), seed_of(x[r]));
    codes += 32 * steps;
  }
  add_steps(s, codes, columns, steps, dot, one);
}

// Adds block b of a panel to what ROWS input rows have accumulated, acc[ROWS].
INLINE void add_block(const panel *from, u32 b, const u8 *codes, const u8 *const *x, f32 (*acc)[TILE], u32 steps,
                      u32 kind, u32 dot, u32 has_bias, const constants *k) {
  sums s[ROWS];
  sum_block(s, codes, x, steps, kind, dot, k->one);
  UNROLL for (u32 r = 0; r < ROWS; r++) {
    const block_head *head = (const block_head *)(const void *)x[r];
    const f4 factor = f4_splat(head->scale);
    UNROLL for (u32 h = 0; h < 2; h++) {
      const f4 sum = sum_floats(s[r].v[h], dot, k->magic);
      f4 a = f4_add(f4_load(acc[r] + 4 * h), f4_mul(sum, f4_mul(f4_load(from->scale[b] + 4 * h), factor)));
      if (has_bias) a = f4_add(a, f4_mul(f4_load(from->bias[b] + 4 * h), f4_splat(head->sum)));
      f4_store(acc[r] + 4 * h, a);
    }
  }
}

// Adds a panel, `cols` columns without padding, to what ROWS input rows have accumulated.
INLINE void add_panel(const panel *from, const weight_ref *w, u32 cols, const u8 **x, f32 (*acc)[TILE], u32 kind,
                      u32 dot) {
  const constants k = constants_of(w, kind);
  const u32 bytes = dot_bytes(dot), halves = kind == Q8_WEIGHTS && bytes == 1 ? 2 : 1;
  const u32 steps_of_block = FOURS_OF_BLOCK * bytes;
  const u32 block = block_columns(w), has_bias = w->has_bias;
  const u32 whole = block < BLOCK || has_bias ? 0 : cols / BLOCK < from->blocks ? cols / BLOCK : from->blocks;
  const u8 *codes = from->codes;
  u32 b = 0;
  for (; b < whole; b++, cols -= BLOCK) { // the usual case, with nothing left to decide
    add_block(from, b, codes, x, acc, steps_of_block, kind, dot, 0, &k);
    UNROLL for (u32 r = 0; r < ROWS; r++) x[r] += sizeof(block_head) + BLOCK * bytes;
    codes += BLOCK * TILE * bytes * halves;
  }
  for (; b < from->blocks; b++, cols -= block) {
    const u32 n = cols < block ? cols : block, grains = (n + GRAIN - 1) / GRAIN, steps = grains * (bytes == 1 ? 2 : 4);
    add_block(from, b, codes, x, acc, steps, kind, dot, has_bias, &k);
    UNROLL for (u32 r = 0; r < ROWS; r++) x[r] += sizeof(block_head) + grains * GRAIN * bytes;
    codes += 32 * steps * halves;
  }
}

// One tile for input rows [row, row + rows), at most STRIP.
INLINE void strip_tile(const job *j, u32 row, u32 rows, u32 tile, u32 kind, u32 dot) {
  const weight_ref *w = &j->args->w;
  panel columns;
  for (u32 i = 0; i < TILE; i++) columns.last_scale[i] = columns.last_bias[i] = 0.0f;
  _Alignas(64) f32 acc[STRIP + ROWS][TILE]; // the last rows may be fewer than ROWS
  for (u32 r = 0; r < rows + ROWS; r++)
    for (u32 h = 0; h < TILE; h += 4) f4_store(acc[r] + h, f4_splat(0.0f));
  const u8 *p = tile_at(w, tile);
  for (u32 c = 0; c < w->cols;) {
    const u32 begin = c, offset = begin / block_columns(w) * block_bytes(w);
    fill_panel(&columns, w, &p, &c, kind, dot_bytes(dot));
    for (u32 r = 0; r < rows; r += ROWS) {
      const u8 *x[ROWS];
      UNROLL for (u32 k = 0; k < ROWS; k++)
        x[k] = j->prepared + (size_t)(row + (r + k < rows ? r + k : rows - 1)) * j->args->row_bytes + offset;
      add_panel(&columns, w, w->cols - begin, x, acc + r, kind, dot);
    }
  }
  for (u32 r = 0; r < rows; r++) finish(j, row + r, tile, f4_load(acc[r]), f4_load(acc[r] + 4));
}

#define STRIP_KERNEL(name, kind, dot) \
  static void name(const job *j, u32 row, u32 begin, u32 end) { \
    const u32 rows = j->rows - row < STRIP ? j->rows - row : STRIP; \
    for (u32 tile = begin; tile < end; tile++) strip_tile(j, row, rows, tile, kind, dot); \
  }
EACH_DOT(STRIP_KERNEL)

kernel *dot_many(const weight_ref *w, u32 sum16) {
  const u32 dot = dot_of(w, sum16);
#define CHOOSE(name, of_kind, of_dot) \
  if (w->kind == of_kind && dot == of_dot) return name;
  EACH_DOT(CHOOSE)
  __builtin_unreachable();
}
