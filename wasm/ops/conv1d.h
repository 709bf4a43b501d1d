#ifndef EDGE_CONV1D_H
#define EDGE_CONV1D_H
#include "../step.h"

enum { CONV_NONE = 0, CONV_SILU = 1 };

typedef struct {
  view x;          // [rows, channels]
  view y;          // [rows, channels], may be x
  state_ref state; // f32[k][channels]
  u32 weight;      // f32[k][channels]
  u32 bias;        // f32[channels], 0: none
  u32 k;           // 1 to 8
  u32 activation;
} conv1d_args;

#endif
