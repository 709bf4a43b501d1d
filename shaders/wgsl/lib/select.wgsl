// What top-k and top-p keep of a row of logits, by bisection over their bits: nothing is sorted.
const RUN = (VOCAB + THREADS - 1u) / THREADS; // ids of a thread where it has a run of them
var<workgroup> drawn: atomic<u32>; // the first thread in whose ids the draw falls
var<workgroup> last_kept: atomic<u32>; // the last thread that has any

// Larger floats have larger keys.
fn key_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x + 0.0);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
fn lowbias32(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16u)) * 0x7feb352du;
  x = (x ^ (x >> 15u)) * 0x846ca68bu;
  return x ^ (x >> 16u);
}
fn is_adjusted(o: u32) -> bool { return outputs[o].n_recent > 0u || outputs[o].n_bias > 0u; }

// Bias and penalties; each id once, by the thread of its first entry.
fn adjust(o: u32, row: u32, lane: u32) {
  let base = o * LOGITS_STRIDE;
  for (var id = lane; id < VOCAB; id += THREADS) { adjusted[base + id] = logits[row + id]; }
  storageBarrier();
  workgroupBarrier();
  let n_bias = outputs[o].n_bias;
  for (var i = lane; i < n_bias; i += THREADS) {
    let id = biases[o * MAX_BIAS + i].x;
    var first = true;
    for (var j = 0u; j < i; j++) { first = first && biases[o * MAX_BIAS + j].x != id; }
    if (!first) { continue; }
    for (var j = i; j < n_bias; j++) {
      if (biases[o * MAX_BIAS + j].x == id) { adjusted[base + id] += bitcast<f32>(biases[o * MAX_BIAS + j].y); }
    }
  }
  storageBarrier();
  workgroupBarrier();
  let n_recent = outputs[o].n_recent;
  for (var i = lane; i < n_recent; i += THREADS) {
    let id = outputs[o].recent[i];
    var first = true;
    var n = 0.0;
    for (var j = 0u; j < n_recent; j++) {
      if (outputs[o].recent[j] == id) {
        first = first && j >= i;
        n += 1.0;
      }
    }
    if (!first) { continue; }
    let l = adjusted[base + id];
    let r = outputs[o].repetition;
    adjusted[base + id] = select(l * r, l / r, l > 0.0) - (outputs[o].frequency * n + outputs[o].presence);
  }
  storageBarrier();
  workgroupBarrier();
}

// The logit of an id after steps 1 to 3.
fn value_at(o: u32, row: u32, id: u32) -> f32 {
  var l = logits[row + id];
  if (is_adjusted(o)) { l = adjusted[o * LOGITS_STRIDE + id]; }
  let t = outputs[o].temperature;
  if (t == 0.0 || t == 1.0) { return l; }
  return l / t;
}

struct Cut {
  key: u32, // kept: larger keys, and of equal ones the `ties` lowest ids
  ties: u32,
}

fn top_k_cut(o: u32, row: u32, lane: u32) -> Cut {
  let k = outputs[o].top_k;
  if (k == 0u || k >= VOCAB) { return Cut(0u, VOCAB); }
  var key = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    var count = 0u;
    for (var id = lane; id < VOCAB; id += THREADS) {
      count += select(0u, 1u, key_of(value_at(o, row, id)) >= (key | bit));
    }
    if (count_of(count, lane) >= k) { key |= bit; }
  }
  var above = 0u;
  for (var id = lane; id < VOCAB; id += THREADS) { above += select(0u, 1u, key_of(value_at(o, row, id)) > key); }
  return Cut(key, k - count_of(above, lane));
}

// The weight of the keys above `key` that `within` keeps, a key of `within` itself aside.
fn mass_from(o: u32, row: u32, key: u32, within: Cut, best: f32, lane: u32) -> f32 {
  var mass = 0.0;
  for (var id = lane; id < VOCAB; id += THREADS) {
    let value = value_at(o, row, id);
    let own = key_of(value);
    if (own >= key && own > within.key) { mass += exp(value - best); }
  }
  return sum_of(mass, lane);
}
fn float_of(key: u32) -> f32 { return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u)); }

fn top_p_cut(o: u32, row: u32, within: Cut, best: f32, lane: u32) -> Cut {
  if (outputs[o].top_p >= 1.0) { return within; }
  var edge = 0.0; // weight of the equal keys at the end of what top-k keeps
  if (within.key > 0u) { edge = f32(within.ties) * exp(float_of(within.key) - best); }
  let enough = outputs[o].top_p * (mass_from(o, row, 0u, within, best, lane) + edge);
  var key = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    let candidate = key | bit;
    let mass = mass_from(o, row, candidate, within, best, lane) + select(0.0, edge, candidate <= within.key);
    if (mass >= enough) { key = candidate; }
  }
  if (key < within.key) { return within; }
  let above = mass_from(o, row, key + 1u, within, best, lane);
  let each = exp(float_of(key) - best);
  var ties = 1u;
  let most = select(VOCAB, within.ties, key == within.key);
  for (var reached = above + each; reached < enough && ties < most; ties++) { reached += each; }
  return Cut(key, ties);
}

// Step 6 over what the cut and min-p keep.
fn draw(o: u32, row: u32, cut: Cut, best: f32, lane: u32) -> u32 {
  let begin = min(lane * RUN, VOCAB);
  let end = min(begin + RUN, VOCAB);
  var equal = 0u;
  for (var id = begin; id < end; id++) { equal += select(0u, 1u, key_of(value_at(o, row, id)) == cut.key); }
  workgroupBarrier();
  ids[lane] = equal;
  workgroupBarrier();
  var before = 0u;
  for (var i = 0u; i < lane; i++) { before += ids[i]; }
  var sum = 0.0;
  var last = begin;
  var seen = before;
  for (var id = begin; id < end; id++) {
    let weight = weight_of(value_at(o, row, id), cut, best, outputs[o].min_p, &seen);
    if (weight > 0.0) { last = id; }
    sum += weight;
  }
  workgroupBarrier();
  numbers[lane] = sum;
  if (lane == 0u) {
    atomicStore(&drawn, THREADS);
    atomicStore(&last_kept, 0u);
  }
  workgroupBarrier();
  var total = 0.0;
  var ahead = 0.0;
  for (var i = 0u; i < THREADS; i++) {
    if (i == lane) { ahead = total; }
    total += numbers[i];
  }
  let bits = lowbias32(outputs[o].seed_lo ^ lowbias32(outputs[o].seed_hi ^ lowbias32(outputs[o].position)));
  let threshold = f32(bits >> 8u) * (1.0 / 16777216.0) * total;
  if (sum > 0.0) {
    atomicMax(&last_kept, lane);
    if (ahead + sum > threshold) { atomicMin(&drawn, lane); }
  }
  workgroupBarrier();
  // Where rounding leaves none, the last that is kept.
  let mine = select(atomicLoad(&drawn), atomicLoad(&last_kept), atomicLoad(&drawn) == THREADS);
  if (lane == mine) {
    var id_found = last;
    seen = before;
    for (var id = begin; id < end; id++) {
      ahead += weight_of(value_at(o, row, id), cut, best, outputs[o].min_p, &seen);
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
