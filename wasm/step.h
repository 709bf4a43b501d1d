// The step contract: how JavaScript describes a step to the module, and how threads share it.
// All addresses count 4 bytes, so that a u32 reaches what a 64-bit memory may have, 16 GiB; AT() turns them into
// pointers. In WebAssembly the base is 0; natively (sanitizer builds) it is the buffer that holds a memory image.
#ifndef EDGE_STEP_H
#define EDGE_STEP_H
#include "structs.h"
#include <stddef.h>
#include <stdint.h>

typedef uint32_t u32;
typedef int32_t i32;
typedef uint8_t u8;
typedef int8_t i8;
typedef uint16_t u16;
typedef int16_t i16;
typedef float f32;
typedef double f64;

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(name)))
#define BYTE_AT(type, offset) ((type *)(size_t)(offset))
#else
extern u8 *edge_memory;
#define EXPORT(name)
#define BYTE_AT(type, offset) ((type *)(void *)(edge_memory + (offset)))
#endif
#define AT(type, address) BYTE_AT(type, (size_t)(address) << 2)

typedef struct { // f32 columns of an activation buffer
  u32 base;   // of row 0
  u32 stride; // floats from row to row
  u32 width;  // floats
} view;

typedef struct { // consecutive rows of one slot
  u32 slot;
  u32 position; // tokens consumed before
  u32 first;    // row of the step
  u32 rows;
} segment;
CHECK_segment

typedef struct { // a slot state
  u32 base;   // of slot 0
  u32 stride; // from slot to slot, counting 4 bytes
} state_ref;

typedef struct { // one step, as every thread of the pool sees it
  u32 rows;
  u32 n_segments;
  u32 n_outputs;
  u32 segments; // segment[n_segments]
  u32 ids;      // i32[rows]
  u32 outputs;  // output[n_outputs], in ascending order of row; see ops/sample.h
  u32 scratch;  // shared scratch of the running op, as large as the greediest op asks for
  // Filled by the op `logits`: one row for each distinct row that an output names.
  u32 n_logits;
  u32 logit_rows;    // u32[n_logits], rows of the step, ascending
  u32 logits;        // f32[n_logits][logits_stride]
  u32 logits_stride; // floats, ≥ vocab, a multiple of 4
  // The calls [first_call, last_call) of the program are run, on `threads` threads of the pool.
  u32 calls; // call[], the encoded program
  u32 first_call;
  u32 last_call;
  u32 threads;
  u32 sum16; // integer dots are added up in 16 bits where there are such kernels: the same sums, faster on some CPUs
} step;
CHECK_step

typedef struct { // one call of the encoded program
  u32 op;        // its number in ops/list.h
  u32 arguments; // the op's struct, 16-byte aligned
} call;
CHECK_call

typedef struct { // one thread's place in the pool
  u32 index;
  u32 count; // of the threads that run this step
  u32 pool;  // pool_block, see thread_pool.h; unused by a pool of one
} thread;

// Waits until every thread of the step has arrived. Ops may use it inside (all threads, or none);
// run_step places one after every op. Compiles to nothing in single-threaded modules.
void pool_barrier(const thread *t);

// Numbers 0, 1, … that count since the last barrier, each to one thread: who is done with a part of an op's work takes the
// next, so that nobody waits for a thread that got less of its processor. Not for pools of one.
u32 pool_next(const thread *t);

// The share [*begin, *end) of n units that a thread works on; shares are multiples of `unit` but for the last.
static inline void share(const thread *t, u32 n, u32 unit, u32 *begin, u32 *end) {
  u32 units = (n + unit - 1) / unit;
  u32 per = units / t->count, extra = units % t->count;
  u32 b = t->index * per + (t->index < extra ? t->index : extra);
  u32 e = b + per + (t->index < extra ? 1 : 0);
  *begin = b * unit;
  *end = e * unit < n ? e * unit : n;
}

// An op: every thread calls it with the same arguments (a struct of u32 and f32 words that TypeScript encodes,
// src/backends/wasm/encode.ts) and does its own share. Declared and numbered by ops/list.h.
#define OP(name) void op_##name(const void *arguments, const step *s, const thread *t)

#endif
