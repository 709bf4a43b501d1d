// Waits spin for a bounded time and then sleep, because unbounded spinning on a busy machine stops the
// very thread that is waited for.
#include "thread_pool.h"

#ifdef __wasm_atomics__
#define LOAD(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define ACQUIRE(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#define ADD(p, v) __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define WAIT(p, v, ns) __builtin_wasm_memory_atomic_wait32((int *)(p), (int)(v), ns)
#define NOTIFY(p) __builtin_wasm_memory_atomic_notify((int *)(p), 0xffffffffu)

enum { SPIN = 1 << 17 }; // loads of one cache line: about 50 µs. Waking a sleeper costs as much, and a step has over a hundred barriers
// A thread counts as lost if it does not come to a barrier within TRIES times this many ns. Several tries, because
// time also passes for a process that was stopped as a whole.
#define PATIENCE 4000000000LL
enum { TRIES = 8 };

// Sleeps while *word is `seen`; 2 if nobody woke it for `ns`. A function of its own, in which nothing lives on: the wait of
// V8's first compiler (Node 20) damages a local variable that holds the address.
__attribute__((noinline)) static int sleep_on(u32 *word, u32 seen, long long ns) { return WAIT(word, seen, ns); }

// Waits until *word differs from `seen`. Returns 0 if it did not in `tries` times PATIENCE (0 tries: without limit).
static int wait_change(u32 *word, u32 seen, u32 *sleepers, int tries) {
  for (u32 i = 0; i < SPIN; i++)
    if (LOAD(word) != seen) return ACQUIRE(word) != seen;
  ADD(sleepers, 1);
  for (int timeouts = 0; ACQUIRE(word) == seen && (!tries || timeouts < tries);)
    timeouts += sleep_on(word, seen, tries ? PATIENCE : -1LL) == 2;
  ADD(sleepers, (u32)-1);
  return ACQUIRE(word) != seen;
}

static void change(u32 *word, u32 value, u32 *sleepers) {
  STORE(word, value); // in one order for all threads with the load of `sleepers`, and the sleeper's two
  if (__atomic_load_n(sleepers, __ATOMIC_SEQ_CST)) NOTIFY(word);
}

void pool_barrier(const thread *t) {
  if (t->count == 1) return;
  pool_block *b = AT(pool_block, t->pool);
  if (LOAD(&b->lost)) return;
  u32 phase = ACQUIRE(&b->phase);
  if (ADD(&b->arrived, 1) + 1 == t->count) {
    STORE(&b->arrived, 0);
    STORE(&b->claimed, 0);
    change(&b->phase, phase + 1, &b->sleepers);
  } else if (!wait_change(&b->phase, phase, &b->sleepers, TRIES)) {
    STORE(&b->lost, 1);
    change(&b->phase, phase + 1, &b->sleepers); // the others must not wait without end either
  }
}

u32 pool_next(const thread *t) { return ADD(&AT(pool_block, t->pool)->claimed, 1); }

static void give_order(pool_block *b, u32 threads) {
  change(&b->order, ((b->order >> 8) + 1) << 8 | threads, &b->starters);
}

void pool_start(u32 pool, pool_work *work, u32 argument, u32 threads) {
  pool_block *b = AT(pool_block, pool);
  b->work = (u32)(uintptr_t)work; // an index in the module's table, the same in every thread
  b->argument = argument;
  give_order(b, threads);
}

// Runs thread `index` ≥ 1 of the pool, from its start until it is asked to stop. A thread that takes no part in
// an order may miss it, so only the order itself tells who takes part.
EXPORT("pool_run") void pool_run(u32 pool, u32 index) {
  pool_block *b = AT(pool_block, pool);
  for (u32 seen = 0;;) {
    wait_change(&b->order, seen, &b->starters, 0);
    seen = ACQUIRE(&b->order);
    if (LOAD(&b->stop)) return;
    thread t = {index, seen & 255, pool};
    if (index < t.count) ((pool_work *)(uintptr_t)b->work)(b->argument, &t);
  }
}

// Called when no thread works.
EXPORT("pool_stop") void pool_stop(u32 pool) {
  pool_block *b = AT(pool_block, pool);
  STORE(&b->stop, 1);
  give_order(b, 0);
}
#else
void pool_barrier(const thread *t) { (void)t; }
u32 pool_next(const thread *t) {
  (void)t;
  return 0;
}
void pool_start(u32 pool, pool_work *work, u32 argument, u32 threads) { (void)pool, (void)work, (void)argument, (void)threads; }
#endif
