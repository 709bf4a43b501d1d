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

// Integers of 4 columns at a time into the order that kernels take, which follows from how they unpack codes.
static void store_integers(const i32 *q, u32 n, u32 kind, u32 bytes, u8 *out) {
  u32 *words = (u32 *)(void *)out;
  for (u32 i = 0; i < n; i += GRAIN, q += GRAIN, words += 2 * bytes) {
    u32 k[GRAIN];
    for (u32 c = 0; c < GRAIN; c++) k[c] = (u32)q[c] & (bytes == 1 ? 0xffu : 0xffffu);
    if (bytes == 2)
      for (u32 p = 0; p < 4; p++) {
        u32 first = kind == Q4_WEIGHTS ? p : p / 2 * 4 + p % 2, second = first + (kind == Q4_WEIGHTS ? 4 : 2);
        words[p] = k[first] | k[second] << 16;
      }
    else
      for (u32 p = 0; p < 2; p++) {
        u32 first = kind == Q4_WEIGHTS ? p : 4 * p, step = kind == Q4_WEIGHTS ? 2 : 1;
        words[p] = k[first] | k[first + step] << 8 | k[first + 2 * step] << 16 | k[first + 3 * step] << 24;
      }
  }
}

// Symmetric, to ±127 or ±32767; a block with NaN or infinity gets a NaN scale.
static void quantize_block(const weight_ref *w, const f32 *x, u32 n, block_head *head) {
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
  i32 q[BLOCK];
  i4 sums = i4_splat(0);
  for (u32 i = 0; i < n; i += 4) {
    i4 k = i4_sub(f4_bits(f4_add(f4_mul(f4_load(x + i), inverse), magic)), f4_bits(magic));
    i4_store(q + i, k);
    sums = i4_add(sums, k);
  }
  const i32 sum = i4_sum(sums);
  const u32 middle = w->kind == Q4_WEIGHTS ? 8 : 128;
  head->scale = (max > 1e-30f ? max / limit : 0.0f) + f4_sum(zero);
  head->sum = head->scale * (f32)sum;
  head->seed = w->has_offset ? 0 : (i32)(0 - middle * (u32)sum);
  if (column_bytes(w->numerics) == 1) head->seed = (i32)((u32)head->seed + MAGIC_BITS);
  head->seed_f32 = 0.0f;
  store_integers(q, n, w->kind, column_bytes(w->numerics), (u8 *)(head + 1));
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
  head->seed_f32 = quantized && !w->has_offset ? (w->kind == Q4_WEIGHTS ? -8.0f : -128.0f) * head->sum : 0.0f;
}

void prepare_row(const weight_ref *w, const f32 *x, const f32 *g, f32 eps, u8 *out) {
  const u32 columns = block_columns(w), bytes = block_bytes(w);
  const f32 inverse = g ? inverse_rms(x, w->cols, eps) : 1.0f;
  for (u32 c = 0; c < w->cols; c += columns, out += bytes) {
    const u32 n = w->cols - c < columns ? w->cols - c : columns, padded = (n + GRAIN - 1) / GRAIN * GRAIN;
    f32 block[BLOCK];
    for (u32 i = 0; i < padded; i += 4) {
      f4 v = i < n ? load_up_to(x + c + i, n - i) : f4_splat(0.0f);
      if (g && i < n) v = f4_mul(f4_mul(v, f4_splat(inverse)), load_up_to(g + c + i, n - i));
      f4_store(block + i, v);
    }
    block_head *head = (block_head *)(void *)out;
    if (w->numerics == EXACT) float_block(w, block, padded, head);
    else quantize_block(w, block, padded, head);
  }
}
