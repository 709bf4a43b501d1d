#ifndef EDGE_GATE_NORM_H
#define EDGE_GATE_NORM_H
#include "../step.h"

enum { NORM_THEN_GATE = 0, GATE_THEN_NORM = 1, GATE = 2 };

typedef struct {
  view x; // [rows, d]
  view z; // [rows, d]
  view y; // [rows, d], may be x or z
  u32 g;  // f32[d], 0 for GATE
  u32 mode;
  u32 ngroups;
  f32 eps;
} gate_norm_args;

#endif
