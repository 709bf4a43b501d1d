// The thread pool: threads that share the memory and do the same work, each its share.
#ifndef EDGE_THREAD_POOL_H
#define EDGE_THREAD_POOL_H
#include "step.h"

// Lies in shared memory, zero at first. What different threads write lies in different cache lines.
typedef struct {
  u32 order;    // (number of the order) << 8 | threads that take part: to work, or to stop
  u32 starters; // threads asleep on `order`
  u32 stop;
  u32 work; // pool_work * of the order
  u32 argument;
  u32 lost; // a thread did not arrive at a barrier in time: the pool is broken
  u32 line0[26];
  u32 arrived; // threads at the barrier
  u32 line1[31];
  u32 phase;    // bumped when all have arrived
  u32 sleepers; // threads asleep on `phase`
  u32 line2[30];
  u32 claimed; // see pool_next; 0 after every barrier
  u32 line3[31];
} pool_block;
CHECK_pool_block

// A thread's share of the work that `argument`, an address, describes.
typedef void pool_work(u32 argument, const thread *t);

// Has the threads 1 … threads − 1 of a pool do their shares; the caller does that of thread 0.
void pool_start(u32 pool, pool_work *work, u32 argument, u32 threads);

#endif
