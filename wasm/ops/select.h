// Which tokens top-k and top-p keep, by radix selection over the bits of the logits: three passes, no sorting.
#ifndef EDGE_SELECT_H
#define EDGE_SELECT_H
#include "../step.h"

enum { BUCKETS = 2048 };

typedef struct { // one thread's scratch; sampleScratch of src/backends/wasm/encode_state.ts
  f64 *masses;   // [BUCKETS]
  u32 *counts;   // [BUCKETS]
  f32 *adjusted; // [vocab], rounded up to 16
  f32 *weights;  // [vocab], rounded up to 16
} room;

typedef struct { // what is kept: keys above `key`, and of those equal to it the `ties` lowest ids
  u32 key;
  u32 ties;
} cut;

// Larger floats have larger keys. Zeros are +0.
static u32 key_of(f32 x) {
  union { f32 f; u32 u; } bits = {x};
  return bits.u & 0x80000000u ? ~bits.u : bits.u | 0x80000000u;
}

// Is the next id in ascending order kept? `ties` counts the equal ones so far.
static int keeps(const cut *c, u32 key, u32 *ties) { return key > c->key || (key == c->key && (*ties)++ < c->ties); }

// The `k` largest of what is there.
static cut select_count(const f32 *l, u32 n, u32 k, const room *m) {
  u32 prefix = 0, mask = 0;
  for (i32 shift = 21; shift >= -1; shift -= 11) { // 11, 11 and 10 bits
    const u32 low = shift < 0 ? 0 : (u32)shift, buckets = shift < 0 ? BUCKETS / 2 : BUCKETS;
    for (u32 b = 0; b < buckets; b++) m->counts[b] = 0;
    for (u32 i = 0; i < n; i++) {
      u32 key = key_of(l[i]);
      if ((key & mask) == prefix) m->counts[key >> low & (buckets - 1)]++;
    }
    u32 b = buckets - 1;
    for (; b > 0 && m->counts[b] < k; b--) k -= m->counts[b];
    prefix |= b << low;
    mask |= (buckets - 1) << low;
  }
  return (cut){prefix, k};
}

// Of what `within` keeps, the fewest of the largest whose weights reach `enough`; all if they don't.
static cut select_mass(const f32 *l, u32 n, cut within, f64 enough, const room *m) {
  u32 prefix = 0, mask = 0;
  f64 reached = 0;
  for (i32 shift = 21; shift >= -1; shift -= 11) {
    const u32 low = shift < 0 ? 0 : (u32)shift, buckets = shift < 0 ? BUCKETS / 2 : BUCKETS;
    for (u32 b = 0; b < buckets; b++) m->masses[b] = 0, m->counts[b] = 0;
    for (u32 i = 0, ties = 0; i < n; i++) {
      u32 key = key_of(l[i]), b = key >> low & (buckets - 1);
      if (!keeps(&within, key, &ties) || (key & mask) != prefix) continue;
      m->masses[b] += (f64)m->weights[i];
      m->counts[b]++;
    }
    u32 b = buckets - 1, lowest = 0;
    for (; b > 0; b--) {
      if (!m->counts[b]) continue;
      if (reached + m->masses[b] >= enough) break;
      lowest = b;
      reached += m->masses[b];
    }
    if (b == 0 && !m->counts[0]) b = lowest, reached -= m->masses[b];
    prefix |= b << low;
    mask |= (buckets - 1) << low;
  }
  const u32 last = prefix & (BUCKETS / 2 - 1), count = m->counts[last]; // these are all equal
  const f64 each = m->masses[last] / (f64)count;
  u32 ties = 1;
  for (reached += each; reached < enough && ties < count; ties++) reached += each;
  return (cut){prefix, ties};
}

#endif
