#ifndef EDGE_ROTARY_H
#define EDGE_ROTARY_H
#include "../step.h"

enum { MAX_ROTARY = 256 };

typedef struct {
  view x; // [rows, heads · headDim]
  u32 head_dim;
  u32 dims; // of a head, that are turned; even, ≤ MAX_ROTARY
  f32 theta;
} rotary_args;

#endif
