// The team: threads that share the memory and run the same ops, each on its share.
#ifndef EDGE_TEAM_H
#define EDGE_TEAM_H
#include "step.h"

// Lies in shared memory, zero at first. What different threads write lies in different cache lines.
typedef struct {
  u32 order;      // (number of the order) << 8 | threads that take part: a step to run, rows to pack, or to stop
  u32 starters;   // threads asleep on `order`
  u32 stop;
  u32 program; // of the step to run; of an order to pack its arguments
  u32 step;    // 0: the order is to pack
  u32 lost; // a thread did not arrive at a barrier in time: the team is broken
  u32 line0[26];
  u32 arrived; // threads at the barrier
  u32 line1[31];
  u32 phase;    // bumped when all have arrived
  u32 sleepers; // threads asleep on `phase`
  u32 line2[30];
  u32 claimed; // see team_next; 0 after every barrier
  u32 line3[31];
} team_block; // 512 bytes

// Publishes a step to the waiting threads.
void team_start(u32 team, u32 program, u32 step, u32 threads);

#endif
