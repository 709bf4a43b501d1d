#ifndef EDGE_WINDOW_ATTENTION_H
#define EDGE_WINDOW_ATTENTION_H
#include "../step.h"

typedef struct {
  view q;          // [rows, heads · headDim]
  view k;          // [rows, kvHeads · headDim]
  view v;          // [rows, kvHeads · headDim]
  view y;          // [rows, heads · headDim]
  state_ref state; // f32[2][ring][kvHeads · headDim]: keys, values; position p in row p mod ring
  u32 ring;
  u32 heads;
  u32 kv_heads;
  u32 head_dim;
  u32 window;
  f32 scale;
  u32 scratch_stride; // of step.scratch for each thread, counting 4 bytes: f32[ceil4(window)]
} window_attention_args;

#endif
