// Rows of a packed table, which may be the head's own weight.
#include "embed.h"
#include "../linear/weights.h"

static f32 from_bits(u32 bits) {
  union { u32 u; f32 f; } value = {bits};
  return value.f;
}

static f32 half_to_f32(const u8 *p) {
  u16 h;
  __builtin_memcpy(&h, p, 2);
  const u32 sign = (u32)(h & 0x8000) << 16, bits = (u32)(h & 0x7fff) << 13;
  if ((h & 0x7c00) == 0x7c00) return from_bits(sign | 0x7f800000u | bits); // infinity, NaN
  return from_bits(sign | bits) * 0x1p112f;
}

static f32 number(const u8 *p, u32 wide, u32 i) {
  f32 x;
  if (!wide) return half_to_f32(p + 2 * i);
  __builtin_memcpy(&x, p + 4 * i, 4);
  return x;
}

// One row of a tile of floats.
static void float_row(const weight_ref *w, const u8 *p, u32 lane, f32 scale, f32 *y) {
  const u32 wide = w->kind == F32_WEIGHTS;
  for (u32 c = 0; c < w->cols; c++) y[c] = scale * number(p, wide, c * TILE + lane);
}

// One row of a tile of codes.
static void code_row(const weight_ref *w, const u8 *p, u32 lane, f32 scale, f32 *y) {
  const u32 bits = w->kind == Q4_WEIGHTS ? 4 : 8, per_word = 32 / bits, numbers = TILE * (w->wide ? 4 : 2);
  for (u32 c = 0; c < w->cols; c += w->group) {
    const u32 n = w->cols - c < w->group ? w->cols - c : w->group;
    const f32 s = number(p, w->wide, lane), bias = w->has_bias ? number(p + numbers, w->wide, lane) : 0.0f;
    const i32 zero = w->has_bias ? 0 : 1 << (bits - 1);
    p += numbers << w->has_bias;
    for (u32 i = 0; i < n; i++) {
      u32 word;
      __builtin_memcpy(&word, p + 4 * (i / per_word * TILE + lane), 4);
      const i32 code = (i32)(word >> bits * (i % per_word) & ((1u << bits) - 1));
      y[c + i] = scale * (s * (f32)(code - zero) + bias);
    }
    p += (n + GRAIN - 1) / GRAIN * GRAIN / per_word * TILE * 4;
  }
}

OP(embed) {
  const embed_args *a = arguments;
  const weight_ref *w = &a->table;
  u32 begin, end;
  share(t, s->rows, 1, &begin, &end);
  for (u32 row = begin; row < end; row++) {
    const u32 id = (u32)AT(const i32, s->ids)[row];
    const u8 *tile = tile_at(w, id / TILE);
    (w->kind >= Q4_WEIGHTS ? code_row : float_row)(w, tile, id % TILE, a->scale, view_row(&a->y, row));
  }
}
