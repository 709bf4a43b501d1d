// Log-probabilities and the next token, per src/ops/sample.ts. Nothing is sorted.
#include "sample.h"
#include "../math.h"
#include "select.h"

enum { BLOCK = 64 };

// ---- log-softmax ----

static f32 largest(const f32 *l, u32 n) {
  f4 best = f4_splat(-__builtin_inff());
  u32 i = 0;
  for (; i + 4 <= n; i += 4) {
    f4 v = f4_load(l + i);
    best = f4_select(f4_lt(best, v), v, best); // NaN never wins; it shows in the sum
  }
  f32 x[4];
  f4_store(x, best);
  f32 max = x[0];
  for (u32 k = 1; k < 4; k++) max = x[k] > max ? x[k] : max;
  for (; i < n; i++) max = l[i] > max ? l[i] : max;
  return max;
}

// ln Σ e^(l − max)
static f64 log_sum(const f32 *l, u32 n, f32 max) {
  f64 total = 0;
  for (u32 begin = 0; begin < n; begin += BLOCK) {
    u32 end = begin + BLOCK < n ? begin + BLOCK : n, i = begin;
    f4 sum = f4_splat(0.0f);
    for (; i + 4 <= end; i += 4) sum = f4_add(sum, exp4(f4_sub(f4_load(l + i), f4_splat(max))));
    total += (f64)f4_sum(sum);
    for (; i < end; i++) {
      f32 x[4];
      f4_store(x, exp4(f4_splat(l[i] - max)));
      total += (f64)x[0];
    }
  }
  return log1(total);
}

// ---- choosing ----

static i32 argmax(const f32 *l, u32 n) {
  f4 best = f4_splat(-__builtin_inff());
  i4 at = i4_splat(0), index = i4_make(0, 1, 2, 3);
  u32 i = 0;
  for (; i + 4 <= n; i += 4, index = i4_add(index, i4_splat(4))) {
    f4 v = f4_load(l + i);
    i4 more = f4_lt(best, v);
    best = f4_select(more, v, best);
    at = i4_select(more, index, at);
  }
  f32 values[4];
  i32 ids[4];
  f4_store(values, best);
  i4_store(ids, at);
  f32 max = values[0];
  i32 id = ids[0];
  for (u32 k = 1; k < 4; k++)
    if (values[k] > max || (values[k] == max && ids[k] < id)) max = values[k], id = ids[k];
  for (; i < n; i++)
    if (l[i] > max) max = l[i], id = (i32)i;
  return id;
}

// Zeroes the weights of what is not kept; returns the sum of the others.
static f64 keep(const f32 *l, u32 n, const cut *c, f32 min_p, f32 *weights) {
  f64 total = 0;
  for (u32 begin = 0, ties = 0; begin < n; begin += BLOCK) {
    u32 end = begin + BLOCK < n ? begin + BLOCK : n;
    f64 sums[4] = {0, 0, 0, 0};
    for (u32 i = begin; i < end; i++) {
      if ((c && !keeps(c, key_of(l[i]), &ties)) || weights[i] < min_p) weights[i] = 0;
      sums[i % 4] += (f64)weights[i];
    }
    total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
  return total;
}

// The first id whose cumulative weight exceeds the threshold, else the last one that has any.
static i32 walk(const f32 *weights, u32 n, f64 threshold) {
  f64 cumulative = 0;
  i32 last = 0;
  for (u32 i = 0; i < n; i++) {
    if (!(weights[i] > 0)) continue;
    cumulative += (f64)weights[i];
    last = (i32)i;
    if (cumulative > threshold) break;
  }
  return last;
}

static u32 lowbias32(u32 x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

static i32 draw(const output *o, u32 n, const room *m) {
  f32 *l = m->adjusted;
  for (u32 i = 0; i < n; i += 4) // the rows of scratch are padded
    f4_store(l + i, f4_add(f4_div(f4_load(l + i), f4_splat(o->temperature)), f4_splat(0.0f)));
  const f32 max = largest(l, n);
  for (u32 i = 0; i < n; i += 4) f4_store(m->weights + i, exp4(f4_sub(f4_load(l + i), f4_splat(max))));
  cut c = {0, 0xffffffffu};
  const int by_count = o->top_k > 0 && o->top_k < n, by_mass = o->top_p < 1;
  if (by_count) c = select_count(l, n, o->top_k, m);
  if (by_mass) {
    f64 total = 0;
    for (u32 i = 0, ties = 0; i < n; i++)
      if (keeps(&c, key_of(l[i]), &ties)) total += (f64)m->weights[i];
    c = select_mass(l, n, c, (f64)o->top_p * total, m);
  }
  f64 total = keep(l, n, by_count || by_mass ? &c : 0, o->min_p, m->weights);
  u32 bits = lowbias32(o->seed_lo ^ lowbias32(o->seed_hi ^ lowbias32(o->position)));
  return walk(m->weights, n, (f64)(bits >> 8) / 16777216.0 * total);
}

// ---- what an output asks for ----

static void penalize(const output *o, f32 *l) {
  for (u32 i = 0; i < o->n_bias; i++) l[o->bias_ids[i]] += o->bias_values[i];
  for (u32 i = 0; i < o->n_recent; i++) {
    const i32 id = o->recent[i];
    u32 before = 0, count = 0;
    for (u32 k = 0; k < o->n_recent; k++) {
      if (o->recent[k] != id) continue;
      count++;
      before += k < i;
    }
    if (before) continue; // each distinct id once
    l[id] = l[id] > 0 ? l[id] / o->repetition : l[id] * o->repetition;
    l[id] -= o->frequency * (f32)count + o->presence;
  }
}

static i32 next_id(const output *o, const f32 *logits, u32 n, const room *m) {
  if (o->temperature == 0 && !o->n_bias && !o->n_recent) return argmax(logits, n);
  u32 i = 0;
  for (; i < n; i++) m->adjusted[i] = logits[i];
  for (; i % 4; i++) m->adjusted[i] = 0;
  penalize(o, m->adjusted);
  return o->temperature == 0 ? argmax(m->adjusted, n) : draw(o, n, m);
}

// The n_top largest, descending, lower ids first among equals.
static void find_top(output *o, const f32 *logits, u32 n) {
  u32 found = 0;
  for (u32 i = 0; i < n; i++) {
    if (found == o->n_top && !(logits[i] > o->top_logprobs[found - 1])) continue;
    u32 at = found < o->n_top ? found++ : found - 1;
    for (; at > 0 && logits[i] > o->top_logprobs[at - 1]; at--) {
      o->top_logprobs[at] = o->top_logprobs[at - 1];
      o->top_ids[at] = o->top_ids[at - 1];
    }
    o->top_logprobs[at] = logits[i];
    o->top_ids[at] = (i32)i;
  }
}

static void serve(output *o, const f32 *logits, u32 n, const room *m) {
  const f32 max = largest(logits, n);
  const f64 log_z = log_sum(logits, n, max);
  if (o->wants & WANT_TARGET) o->target_logprob = (f32)((f64)logits[o->target] - (f64)max - log_z);
  if (!(o->wants & WANT_SAMPLE)) return;
  o->id = next_id(o, logits, n, m);
  o->logprob = (f32)((f64)logits[o->id] - (f64)max - log_z);
  if (o->n_top) find_top(o, logits, n);
  for (u32 i = 0; i < o->n_top; i++)
    o->top_logprobs[i] = (f32)((f64)o->top_logprobs[i] - (f64)max - log_z);
}

OP(sample) {
  const sample_args *a = arguments;
  output *outputs = AT(output, s->outputs);
  const u32 mine = s->scratch + t->index * a->scratch_stride, padded = (a->vocab + 15) & ~15u;
  const room m = {
      AT(f64, mine),
      AT(u32, mine + 2 * BUCKETS),
      AT(f32, mine + 3 * BUCKETS),
      AT(f32, mine + 3 * BUCKETS + padded),
  };
  u32 begin, end;
  share(t, s->n_outputs, 1, &begin, &end);
  for (u32 i = begin; i < end; i++)
    if (outputs[i].wants)
      serve(outputs + i, AT(const f32, s->logits) + outputs[i].logits_row * s->logits_stride, a->vocab, &m);
}
