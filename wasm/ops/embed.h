#ifndef EDGE_EMBED_H
#define EDGE_EMBED_H
#include "../linear/linear.h"

typedef struct {
  view y;           // [rows, d]
  weight_ref table; // [vocab, d]
  f32 scale;
} embed_args;

#endif
