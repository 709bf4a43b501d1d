// Runs an encoded step: the calls of a program one after the other, every thread its share of each.
#include "thread_pool.h"

#define DECLARE(number, name) OP(name);
#include "ops/list.h"
EACH_OP(DECLARE)

static void run_call(const call *c, const step *s, const thread *t) {
  const void *arguments = AT(const void, c->arguments);
  switch (c->op) {
#define CASE(number, name) \
  case number: \
    op_##name(arguments, s, t); \
    break;
    EACH_OP(CASE)
  }
}

// A thread's part of a step. After the last barrier nothing of the step may be read: the first thread may already be
// writing the next one.
static void run_calls(u32 step_address, const thread *t) {
  const step *s = AT(const step, step_address);
  const call *calls = AT(const call, s->calls);
  const u32 last = s->last_call;
  for (u32 i = s->first_call; i < last; i++) {
    run_call(calls + i, s, t);
    pool_barrier(t);
  }
}

// Runs a step as the first thread of its pool. Returns 0, or 1 if a thread of the pool was lost.
EXPORT("step") u32 run_step(u32 pool, u32 step_address) {
  const step *s = AT(const step, step_address);
  thread t = {0, s->threads, pool};
  if (s->first_call >= s->last_call) return 0; // no barrier would hold the others back
  if (s->threads > 1) pool_start(pool, run_calls, step_address, s->threads);
  run_calls(step_address, &t);
  return s->threads > 1 && AT(pool_block, pool)->lost;
}
