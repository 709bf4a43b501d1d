// Finds the thresholds of top-k and top-p in a row of logits, by bisection over their bits: sorts nothing.
const RUN = (VECTORS + STRIDE - 1u) / STRIDE * 4u; // vectors of a thread where it has a run of them
var<workgroup> drawn: atomic<u32>; // the first thread in whose ids the draw falls
var<workgroup> last_kept: atomic<u32>; // the last thread that has any

// Larger floats have larger keys.
fn key_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x + 0.0);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
fn keys_of(x: vec4<f32>) -> vec4<u32> {
  let bits = bitcast<vec4<u32>>(x + vec4<f32>(0.0));
  return select(bits | vec4<u32>(0x80000000u), ~bits, (bits & vec4<u32>(0x80000000u)) != vec4<u32>(0u));
}
fn float_of(key: u32) -> f32 { return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u)); }
fn lowbias32(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}

// Bias and penalties. A thread adjusts the values that it has: each id once, at its first entry. It writes whole vectors.
fn adjusted_at(base: u32, id: u32) -> f32 { return adjusted[base + id / 4u][id % 4u]; }
fn put_adjusted(base: u32, id: u32, value: f32) {
  var four = adjusted[base + id / 4u];
  four[id % 4u] = value;
  adjusted[base + id / 4u] = four;
}
fn adjust(o: u32, lane: u32) {
  let base = o * VECTORS;
  for (var i = lane; i < VECTORS; i += THREADS) { adjusted[base + i] = logits[outputs[o].logits * VECTORS + i]; }
  let n_bias = outputs[o].n_bias;
  for (var i = 0u; i < n_bias; i++) {
    let entry = biases[o * MAX_BIAS + i];
    if ((entry.x / 4u) % THREADS == lane) {
      put_adjusted(base, entry.x, adjusted_at(base, entry.x) + bitcast<f32>(entry.y));
    }
  }
  let n_recent = outputs[o].n_recent;
  for (var i = 0u; i < n_recent; i++) {
    let id = outputs[o].recent[i];
    if ((id / 4u) % THREADS != lane) { continue; }
    var first = true;
    var n = 0.0;
    for (var j = 0u; j < n_recent; j++) {
      if (outputs[o].recent[j] == id) {
        first = first && j >= i;
        n += 1.0;
      }
    }
    if (!first) { continue; }
    let l = adjusted_at(base, id);
    let r = outputs[o].repetition;
    put_adjusted(base, id, select(l * r, l / r, l > 0.0) - (outputs[o].frequency * n + outputs[o].presence));
  }
  storageBarrier();
  workgroupBarrier();
}

struct Cut {
  key: u32, // kept: larger keys, and of equal ones the `ties` lowest ids
  ties: u32,
}

// How many values have at least this key.
fn count_from(source: Source, key: u32, lane: u32) -> u32 {
  var count = vec4<u32>();
  for (var i = lane; i < VECTORS; i += STRIDE) {
    let four = four_at(source, i, THREADS);
#repeat FOUR
    count += vec4<u32>(keys_of(four[$i]) >= vec4<u32>(key));
#end
  }
  return count_of(count.x + count.y + count.z + count.w, lane);
}

fn top_k_cut(k: u32, source: Source, lane: u32) -> Cut {
  if (k == 0u || k >= VOCAB) { return Cut(0u, VOCAB); }
  var key = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    let count = count_from(source, key | bit, lane);
    if (count >= k) { key |= bit; }
    if (count == k) { return Cut(key - 1u, 0u); }
  }
  return Cut(key, k - count_from(source, key + 1u, lane));
}

// The weight of the keys above `key` that `within` keeps, a key of `within` itself aside.
fn mass_from(source: Source, key: u32, within: Cut, best: f32, lane: u32) -> f32 {
  var mass = 0.0;
  for (var i = lane; i < VECTORS; i += STRIDE) {
    let four = four_at(source, i, THREADS);
#repeat FOUR
    let keys$i = keys_of(four[$i]);
    let kept$i = (keys$i >= vec4<u32>(key)) & (keys$i > vec4<u32>(within.key));
    mass += dot(select(vec4<f32>(0.0), exp(four[$i] - best), kept$i), vec4<f32>(1.0));
#end
  }
  return sum_of(mass, lane);
}

fn top_p_cut(top_p: f32, source: Source, within: Cut, best: f32, lane: u32) -> Cut {
  if (top_p >= 1.0) { return within; }
  var edge = 0.0; // weight of the equal keys at the end of what top-k keeps
  if (within.ties > 0u && within.key > 0u) { edge = f32(within.ties) * exp(float_of(within.key) - best); }
  let enough = top_p * (mass_from(source, 0u, within, best, lane) + edge);
  var key = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    let candidate = key | bit;
    let mass = mass_from(source, candidate, within, best, lane) + select(0.0, edge, candidate <= within.key);
    if (mass >= enough) { key = candidate; }
  }
  if (key < within.key) { return within; }
  let above = mass_from(source, key + 1u, within, best, lane);
  let each = exp(float_of(key) - best);
  var ties = 1u;
  let most = select(VOCAB, within.ties, key == within.key);
  for (var reached = above + each; reached < enough && ties < most; ties++) { reached += each; }
  return Cut(key, ties);
}

// Step 6 over what the cut and min-p keep.
fn draw(o: u32, source: Source, cut: Cut, best: f32, lane: u32) -> u32 {
  let begin = min(lane * RUN, VECTORS);
  let end = min(begin + RUN, VECTORS);
  var equal = vec4<u32>();
  for (var i = begin; i < end; i += 4u) {
    let four = four_at(source, i, 1u);
#repeat FOUR
    equal += vec4<u32>(keys_of(four[$i]) == vec4<u32>(cut.key));
#end
  }
  let mine_equal = equal.x + equal.y + equal.z + equal.w;
  let before = count_to(mine_equal, lane) - mine_equal;
  var sum = 0.0;
  var last = 4u * begin;
  var seen = before;
  for (var i = begin; i < end; i += 4u) {
    let four = four_at(source, i, 1u);
    for (var k = 0u; k < 16u; k++) {
      let weight = weight_of(four[k / 4u][k % 4u], cut, best, outputs[o].min_p, &seen);
      if (weight > 0.0) { last = 4u * i + k; }
      sum += weight;
    }
  }
  if (lane == 0u) {
    atomicStore(&drawn, THREADS);
    atomicStore(&last_kept, 0u);
  }
  let reached = sum_to(sum, lane);
  let total = workgroupUniformLoad(&numbers[THREADS - 1u]);
  var ahead = 0.0;
  if (lane > 0u) { ahead = numbers[lane - 1u]; }
  let bits = lowbias32(outputs[o].seed_lo ^ lowbias32(outputs[o].seed_hi ^ lowbias32(outputs[o].position)));
  let threshold = f32(bits >> 8u) * (1.0 / 16777216.0) * total;
  if (sum > 0.0) {
    atomicMax(&last_kept, lane);
    if (reached > threshold) { atomicMin(&drawn, lane); }
  }
  workgroupBarrier();
  // Where rounding leaves none, the last that is kept.
  let mine = select(atomicLoad(&drawn), atomicLoad(&last_kept), atomicLoad(&drawn) == THREADS);
  if (lane == mine) {
    var id_found = last;
    seen = before;
    for (var id = 4u * begin; id < 4u * end; id++) {
      ahead += weight_of(four_at(source, id / 4u, 0u)[0][id % 4u], cut, best, outputs[o].min_p, &seen);
      if (ahead > threshold) {
        id_found = id;
        break;
      }
    }
    ids[0] = id_found;
  }
  workgroupBarrier();
  return ids[0];
}

// The weight of a value, zero unless it is kept; `seen` counts the ids of the cut's key so far.
fn weight_of(value: f32, cut: Cut, best: f32, min_p: f32, seen: ptr<function, u32>) -> f32 {
  let key = key_of(value);
  if (key < cut.key) { return 0.0; }
  if (key == cut.key) {
    *seen += 1u;
    if (*seen > cut.ties) { return 0.0; }
  }
  let weight = exp(value - best);
  return select(0.0, weight, weight >= min_p);
}
