// A step's request for one row of logits, and its result. src/backends/wasm/outputs.ts writes and reads it.
#ifndef EDGE_SAMPLE_H
#define EDGE_SAMPLE_H
#include "../step.h"

enum { MAX_RECENT = 64, MAX_BIAS = 1024, MAX_TOP = 20 }; // as in src/ops/sample.ts
enum { WANT_TARGET = 1, WANT_SAMPLE = 2 };

typedef struct {
  u32 logits_row; // row of step.logits
  u32 wants;
  i32 target; // id
  f32 temperature;
  u32 top_k;
  f32 top_p;
  f32 min_p;
  f32 repetition;
  f32 frequency;
  f32 presence;
  u32 seed_lo;
  u32 seed_hi;
  u32 position;
  u32 n_recent;
  u32 n_bias;
  u32 n_top;
  // results
  f32 target_logprob;
  i32 id;
  f32 logprob;
  u32 reserved;
  i32 top_ids[MAX_TOP];
  f32 top_logprobs[MAX_TOP];
  i32 recent[MAX_RECENT];
  i32 bias_ids[MAX_BIAS];
  f32 bias_values[MAX_BIAS];
} output;
CHECK_output

// The arguments of op `sample`, which also serves targets: it follows op `logits` in every encoded program.
typedef struct {
  u32 vocab;
  u32 scratch_stride; // of step.scratch for each thread, counting 4 bytes, ≥ sample_scratch(vocab)
} sample_args;

#endif
