// Linears: y = scale · (W · x + b) + residual. Weights lie packed in blocks of 8 output rows, inputs are prepared row
// by row. Whatever runs, one output is always the same sequence of float operations: block of columns after block,
//   acc = acc + dot · scale of the block (+ bias of the group · sum of the block's inputs)
// with exact integer dots, or (numerics exact) float ones in ascending order of columns.
#ifndef EDGE_LINEAR_H
#define EDGE_LINEAR_H
#include "../math.h"
#include "../simd/simd.h"
#include "../step.h"

enum { F32_WEIGHTS = 0, F16_WEIGHTS = 1, Q4_WEIGHTS = 2, Q8_WEIGHTS = 3 };
enum { EXACT = 0, I16 = 1, I8 = 2 };
enum { TILE = 8 };    // output rows of a packed block
enum { GRAIN = 8 };   // columns are padded to a multiple of this, group by group
enum { BLOCK = 32 };  // columns of a block, or the group if that is smaller
enum { STRIP = 64 };  // input rows that a thread keeps at hand

// A packed weight; src/backends/wasm/pack_js.ts writes it:
//   f32 half     2^112, the factor that turns shifted f16 bits into floats; NaN if a scale or value is not finite
//   at 64: tile[ceil(rows / 8)], a tile being for f32 and f16
//     value[columns, padded][8]
//   and for q4 and q8 group[groups], a group being
//     scale[8], bias[8] (if there are any), each f16 or f32
//     u32 codes[columns of the group, padded, / (8 or 4)][8]: 8 or 4 codes of a row, the first in the lowest bits
typedef struct {
  u32 base;
  u32 rows;
  u32 cols;
  u32 kind;        // F32_WEIGHTS, …
  u32 numerics;    // EXACT, I16, I8
  u32 group;       // columns; of floats BLOCK
  u32 wide;        // scales and biases are f32
  u32 has_bias;  // w = scale · q + bias instead of scale · (q − zero), zero = 8 or 128
  u32 tile_bytes;  // of 8 rows
} weight_ref;

// An input row, prepared for a weight: for each block of columns this, and then the columns, padded by zeros:
//   EXACT  f32, divided by what kernels leave the codes multiplied with
//   else   integers, x ≈ scale · integer, in the order in which kernels take them
typedef struct {
  f32 scale;
  f32 sum;      // of the block's inputs
  i32 seed;     // integer dots begin with this: −zero · Σ integers, of i8 plus the bits of MAGIC
  f32 seed_f32; // float dots begin with this: −zero · Σ inputs
} block_head;

typedef struct {
  view x;        // [rows, in]
  view residual; // [rows, out], base 0: none
  view y;        // [rows, out], may be the residual; base 0: the rows of step.logits, for step.logit_rows
  weight_ref w;  // [out, in]
  u32 g;         // f32[in], weight of an RMS norm; 0: none
  u32 b;         // f32[out], 0: none
  f32 eps;
  f32 scale;
  u32 row_bytes; // a prepared row's room, multiple of 64
  u32 shared;    // of step.scratch for all rows, counting 4 bytes; after them each thread has room for OWN_ROWS
} linear_args;

// So few rows every thread prepares for itself: quicker than meeting.
enum { OWN_ROWS = 2 };

typedef struct { // what kernels see of a linear
  const linear_args *args;
  const u8 *prepared; // [rows] of args->row_bytes
  u32 rows;
  f32 *y;
  u32 y_stride; // floats
} job;

// Bias, scale and residual of the 8 outputs of a tile for one input row, and out with them.
void finish(const job *j, u32 row, u32 tile, f4 low, f4 high);

// Computes the output rows of tiles [begin, end) for input rows [row, row + n), n being as many as the kernel takes.
typedef void kernel(const job *j, u32 row, u32 begin, u32 end);

typedef struct { // with SMALL_CODE all for one input row
  kernel *one;  // input row
  kernel *two;  // input rows
  kernel *many; // input rows: up to STRIP
} kernels;

kernel exact_many;
kernel *dot_many(const weight_ref *w, u32 sum16);
kernels exact_kernels(const weight_ref *w);
kernels dot_kernels(const weight_ref *w, u32 sum16);

// Bytes of one prepared column.
INLINE u32 column_bytes(u32 numerics) { return numerics == EXACT ? 4 : numerics == I8 && SIMD_DOT7 ? 1 : 2; }
INLINE u32 block_columns(const weight_ref *w) { return w->group < BLOCK ? w->group : BLOCK; }
// Bytes of one block of a prepared row, its last one aside.
INLINE u32 block_bytes(const weight_ref *w) {
  return (u32)sizeof(block_head) + block_columns(w) * column_bytes(w->numerics);
}

// Prepares a row of inputs, normalized if there is a g.
void prepare_row(const weight_ref *w, const f32 *x, const f32 *g, f32 eps, u8 *out);

void run_linear(const linear_args *args, const step *s, const thread *t);

#endif
