// Prepares input rows: norm, then what the kernels of the weight's numerics read.
#include "weights.h"

static f32 inverse_rms(const f32 *x, u32 n, f32 eps) {
  f4 sums[4] = {f4_splat(0.0f), f4_splat(0.0f), f4_splat(0.0f), f4_splat(0.0f)};
  for (u32 i = 0; i < n; i += 4) {
    f4 v = load_up_to(x + i, n - i);
    sums[i / 4 % 4] = f4_add(sums[i / 4 % 4], f4_mul(v, v));
  }
  f32 squares = f4_sum(f4_add(f4_add(sums[0], sums[1]), f4_add(sums[2], sums[3])));
  return 1.0f / __builtin_sqrtf(squares / (f32)n + eps);
}

// A grain's integers in the order that kernels take, which follows from how they unpack codes. Returns where the next go.
INLINE u8 *store_grain(i4 a, i4 b, u32 kind, u32 bytes, u8 *out) {
  if (bytes == 2 && kind == Q4_WEIGHTS)
    i4_store(out, i4_shuffle(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)); // 0 4, 1 5, 2 6, 3 7
  else if (bytes == 2)
    i4_store(out, i4_shuffle(a, b, 0, 1, 8, 9, 4, 5, 12, 13, 16, 17, 24, 25, 20, 21, 28, 29)); // 0 2, 1 3, 4 6, 5 7
  else if (kind == Q4_WEIGHTS)
    i4_store_half(out, i4_shuffle(a, b, 0, 8, 16, 24, 4, 12, 20, 28, 0, 0, 0, 0, 0, 0, 0, 0)); // 0 2 4 6, 1 3 5 7
  else
    i4_store_half(out, i4_shuffle(a, b, 0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0)); // as they are
  return out + GRAIN * bytes;
}

// Symmetric, to ±127 or ±32767; a block with NaN or infinity gets a NaN scale.
INLINE void quantize_block(const weight_ref *w, const f32 *x, u32 n, u32 kind, u32 bytes, block_head *head) {
  const f32 limit = w->numerics == I8 ? 127.0f : 32767.0f;
  const f4 magic = f4_splat(12582912.0f); // 1.5 · 2^23: adding it rounds to an integer
  f4 largest = f4_splat(0.0f), zero = f4_splat(0.0f);
  for (u32 i = 0; i < n; i += 4) {
    f4 v = f4_load(x + i);
    largest = f4_max(largest, f4_abs(v));
    zero = f4_add(zero, f4_mul(v, f4_splat(0.0f)));
  }
  f32 lanes[4];
  f4_store(lanes, largest);
  f32 max = lanes[0];
  for (u32 i = 1; i < 4; i++) max = lanes[i] > max ? lanes[i] : max;
  const f4 inverse = f4_splat(max > 1e-30f ? limit / max : 0.0f);
  u8 *out = (u8 *)(head + 1);
  i4 sums = i4_splat(0);
  for (u32 i = 0; i < n; i += GRAIN) {
    i4 a = i4_sub(f4_bits(f4_add(f4_mul(f4_load(x + i), inverse), magic)), f4_bits(magic));
    i4 b = i4_sub(f4_bits(f4_add(f4_mul(f4_load(x + i + 4), inverse), magic)), f4_bits(magic));
    out = store_grain(a, b, kind, bytes, out);
    sums = i4_add(sums, i4_add(a, b));
  }
  const i32 sum = i4_sum(sums);
  const u32 middle = kind == Q4_WEIGHTS ? 8 : 128;
  head->scale = (max > 1e-30f ? max / limit : 0.0f) + f4_sum(zero);
  head->sum = head->scale * (f32)sum;
  head->seed = w->has_bias ? 0 : (i32)(0 - middle * (u32)sum);
  if (bytes == 1) head->seed = (i32)((u32)head->seed + MAGIC_BITS);
  head->seed_f32 = 0.0f;
}

static void float_block(const weight_ref *w, const f32 *x, u32 n, block_head *head) {
  static const f32 FACTORS[2][GRAIN] = {
      {1, 0x1p-4f, 0x1p-8f, 0x1p-12f, 0x1p-16f, 0x1p-20f, 0x1p-24f, 1},
      {1, 0x1p-8f, 0x1p-16f, 1, 1, 0x1p-8f, 0x1p-16f, 1},
  };
  const int quantized = w->kind >= Q4_WEIGHTS;
  f32 *out = (f32 *)(void *)(head + 1);
  f4 sums = f4_splat(0.0f);
  for (u32 i = 0; i < n; i += 4) {
    f4 v = f4_load(x + i);
    sums = f4_add(sums, v);
    f4_store(out + i, quantized ? f4_mul(v, f4_load(FACTORS[w->kind - Q4_WEIGHTS] + i % GRAIN)) : v);
  }
  head->scale = 1.0f;
  head->sum = f4_sum(sums);
  head->seed = 0;
  head->seed_f32 = quantized && !w->has_bias ? (w->kind == Q4_WEIGHTS ? -8.0f : -128.0f) * head->sum : 0.0f;
}

// A row with `inverse` and weights g of its norm, or g 0: none.
INLINE void prepare_blocks(const weight_ref *w, const f32 *x, const f32 *g, f32 inverse, u32 kind, u32 bytes, u8 *out) {
  const u32 columns = block_columns(w);
  for (u32 c = 0; c < w->cols; c += columns, out += block_bytes(w)) {
    const u32 n = w->cols - c < columns ? w->cols - c : columns, padded = (n + GRAIN - 1) / GRAIN * GRAIN;
    f32 block[BLOCK];
    for (u32 i = 0; i < padded; i += 4) {
      f4 v = i < n ? load_up_to(x + c + i, n - i) : f4_splat(0.0f);
      if (g && i < n) v = f4_mul(f4_mul(v, f4_splat(inverse)), load_up_to(g + c + i, n - i));
      f4_store(block + i, v);
    }
    block_head *head = (block_head *)(void *)out;
    if (bytes == 4) float_block(w, block, padded, head);
    else if (!SMALL_CODE && padded == BLOCK) quantize_block(w, block, BLOCK, kind, bytes, head);
    else quantize_block(w, block, padded, kind, bytes, head);
  }
}

void prepare_row(const weight_ref *w, const f32 *x, const f32 *g, f32 eps, u8 *out) {
  const f32 inverse = g ? inverse_rms(x, w->cols, eps) : 1.0f;
  const u32 kind = w->kind, bytes = column_bytes(w->numerics);
  if (SMALL_CODE || bytes == 4) prepare_blocks(w, x, g, inverse, kind, bytes, out);
  else if (kind == Q4_WEIGHTS && bytes == 1) prepare_blocks(w, x, g, inverse, Q4_WEIGHTS, 1, out);
  else if (kind == Q4_WEIGHTS) prepare_blocks(w, x, g, inverse, Q4_WEIGHTS, 2, out);
  else if (bytes == 1) prepare_blocks(w, x, g, inverse, Q8_WEIGHTS, 1, out);
  else prepare_blocks(w, x, g, inverse, Q8_WEIGHTS, 2, out);
}
