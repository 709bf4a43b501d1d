// Rows of quantized weights into the tiles of linear/linear.h while a model loads: one pass over what was read.
#include "linear/linear.h"
#include "thread_pool.h"

typedef struct { // what src/backends/wasm/pack_wasm.ts writes
  u32 target; // tile[ceil(rows / 8)], the only address here that counts 4 bytes
  u32 tile_bytes;
  u32 rows;
  u32 groups;       // of a row, none of them short
  u32 group_words;  // u32 of codes in a group
  u32 number_bytes; // 2 or 4: of a scale or bias
  u32 has_bias;
  u32 ggml; // 1: codes lie as in ggml's blocks, nibbles i and i + 16 or signed bytes; 0: in order and unsigned
  u32 bits;
  // Byte i of row r, group g lies at base + r · row + g · group + i, base below 4 GiB.
  u32 codes, codes_row, codes_group;
  u32 scale, bias, number_row, number_group;
  u32 pool;    // pool_block
  u32 threads; // of the pool that pack, each its share of the tiles
  u32 odd;     // set to 1 if a scale or bias is infinite or no number
} pack_args;
CHECK_pack_args

typedef u32 words __attribute__((vector_size(16)));
typedef u32 unaligned __attribute__((vector_size(16), aligned(1)));

INLINE words load_words(const u8 *p) { return *(const unaligned *)(const void *)p; }

// Codes of 32 columns as Q4_0 has them, low nibbles first, in order.
INLINE words in_order(words v) {
  typedef u8 bytes __attribute__((vector_size(16)));
  words low = v & 0x0f0f0f0f, high = (v >> 4) & 0x0f0f0f0f;
  low |= low >> 4;
  high |= high >> 4;
  return (words)__builtin_shufflevector((bytes)low, (bytes)high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}

// Four words of each of 8 rows, transposed.
INLINE void store_words(words *out, const words *v) {
  for (u32 half = 0; half < 2; half++) {
    const words *r = v + 4 * half;
    words a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    words c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    out[half] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    out[2 + half] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    out[4 + half] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    out[6 + half] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
  }
}

// The scales or biases of up to 8 rows. Returns whether one is infinite or no number.
INLINE u32 pack_numbers(u8 *out, const u8 *in, u32 row, u32 live, u32 bytes) {
  u32 odd = 0;
  for (u32 r = 0; r < live; r++, in += row) {
    if (bytes == 2) {
      u16 n;
      __builtin_memcpy(&n, in, 2);
      ((u16 *)(void *)out)[r] = n;
      odd |= (n & 0x7c00) == 0x7c00;
    } else {
      u32 n;
      __builtin_memcpy(&n, in, 4);
      ((u32 *)(void *)out)[r] = n;
      odd |= (n & 0x7f800000) == 0x7f800000;
    }
  }
  return odd;
}

// Tiles [begin, end) of rows.
static u32 pack_tiles(const pack_args *a, u32 begin, u32 end) {
  const u32 numbers = TILE * a->number_bytes;
  u32 odd = 0;
  for (u32 row = begin; row < end; row += TILE) {
    const u32 live = end - row < TILE ? end - row : TILE;
    u8 *out = AT(u8, a->target) + (size_t)(row / TILE) * a->tile_bytes;
    for (u32 g = 0; g < a->groups; g++) {
      const u32 number = row * a->number_row + g * a->number_group;
      odd |= pack_numbers(out, BYTE_AT(const u8, a->scale) + number, a->number_row, live, a->number_bytes);
      out += numbers;
      if (a->has_bias) {
        odd |= pack_numbers(out, BYTE_AT(const u8, a->bias) + number, a->number_row, live, a->number_bytes);
        out += numbers;
      }
      const u8 *codes = BYTE_AT(const u8, a->codes) + row * a->codes_row + g * a->codes_group;
      for (u32 i = 0; i + 4 <= a->group_words; i += 4, out += 4 * 4 * TILE) {
        words v[TILE];
        for (u32 r = 0; r < TILE; r++) {
          v[r] = r < live ? load_words(codes + r * a->codes_row + 4 * i) : (words){0, 0, 0, 0};
          if (a->ggml && r < live) v[r] = a->bits == 4 ? in_order(v[r]) : v[r] ^ 0x80808080;
        }
        store_words((words *)(void *)out, v);
      }
      if (a->group_words & 2) { // q4, groups of 16
        for (u32 i = 0; i < 2; i++, out += 4 * TILE)
          for (u32 r = 0; r < live; r++)
            __builtin_memcpy(out + 4 * r, codes + r * a->codes_row + 4 * i, 4);
      }
    }
  }
  return odd;
}

// A thread's share of the rows. The pages of what it writes are mostly new to the process: the threads share the wait
// for them, too.
static void pack_share(u32 arguments, const thread *t) {
  pack_args *a = AT(pack_args, arguments);
  u32 begin, end;
  share(t, a->rows, TILE, &begin, &end);
  if (pack_tiles(a, begin, end)) __atomic_store_n(&a->odd, 1, __ATOMIC_RELAXED);
  pool_barrier(t);
}

// Packs as the first thread of its pool. Returns 0, 1 if a scale or bias is infinite or no number, or 2 if a thread
// of the pool was lost.
EXPORT("pack") u32 pack(u32 arguments) {
  const pack_args *a = AT(const pack_args, arguments);
  const thread t = {0, a->threads, a->pool};
  if (t.count > 1) pool_start(a->pool, pack_share, arguments, t.count);
  pack_share(arguments, &t);
  if (t.count > 1 && AT(pool_block, t.pool)->lost) return 2;
  return __atomic_load_n(&a->odd, __ATOMIC_RELAXED);
}
