#ifndef EDGE_ACTIVATION_H
#define EDGE_ACTIVATION_H
#include "../step.h"

enum { ACT_GELU = 0, ACT_SILU = 1, ACT_RELU2 = 2 };

typedef struct {
  view x;    // [rows, d]
  view gate; // [rows, d], base 0: none
  view y;    // [rows, d], may be x or gate
  u32 kind;
} activation_args;

#endif
