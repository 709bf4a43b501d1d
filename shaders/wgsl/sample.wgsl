// src/ops/sample.ts, one workgroup an output.
@group(0) @binding(0) var<storage, read> outputs: array<Output, OUTPUTS>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> biases: array<vec2<u32>>; // [OUTPUTS][MAX_BIAS]: id, bits of the value
@group(0) @binding(3) var<storage, read_write> adjusted: array<f32>; // [OUTPUTS][LOGITS_STRIDE]
@group(0) @binding(4) var<storage, read> parts: array<Part>; // [rows][PARTS], of `log_sum`
@group(0) @binding(5) var<storage, read_write> results: array<Result, OUTPUTS>;

@compute @workgroup_size(THREADS)
fn sample(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let o = group.x;
  let row = outputs[o].logits * LOGITS_STRIDE;
  var best = LOWEST;
  var best_id = VOCAB;
  var mass = 0.0;
  var faulty = 0u;
  if (lane < PARTS) {
    let part = parts[outputs[o].logits * PARTS + lane];
    best = part.best;
    best_id = part.best_id;
    mass = part.mass;
    faulty = part.faulty;
  }
  let top = largest_of(best, best_id, lane);
  let most = workgroupUniformLoad(&numbers[0]);
  let log_z = most + log(sum_of(mass * exp(best - most), lane));
  let bad = count_of(faulty, lane) > 0u;
  if (lane == 0u) { results[o].faulty = select(0u, 1u, bad); }
  if ((outputs[o].wants & 1u) != 0u && lane == 0u) {
    results[o].target_logprob = logits[row + outputs[o].target_id] - log_z;
  }
  if ((outputs[o].wants & 2u) == 0u) { return; }
  var id = top;
  if (is_adjusted(o) || outputs[o].temperature != 0.0) {
    if (is_adjusted(o)) { adjust(o, row, lane); }
    best = LOWEST;
    best_id = VOCAB;
    for (var i = lane; i < VOCAB; i += THREADS) {
      let value = value_at(o, row, i);
      if (value > best || best_id == VOCAB) {
        best = value;
        best_id = i;
      }
    }
    id = largest_of(best, best_id, lane);
    if (outputs[o].temperature != 0.0) {
      best = workgroupUniformLoad(&numbers[0]);
      let cut = top_p_cut(o, row, top_k_cut(o, row, lane), best, lane);
      id = draw(o, row, cut, best, lane);
    }
  }
  if (lane == 0u) {
    results[o].id = id;
    results[o].logprob = logits[row + min(id, VOCAB - 1u)] - log_z;
  }
  // The most probable, one after the other.
  var limit = 3.4e38;
  var limit_id = 0u;
  for (var n = 0u; n < outputs[o].n_top; n++) {
    best = LOWEST;
    best_id = VOCAB;
    for (var i = lane; i < VOCAB; i += THREADS) {
      let l = logits[row + i];
      let left = n == 0u || l < limit || (l == limit && i > limit_id);
      if (left && (l > best || best_id == VOCAB)) {
        best = l;
        best_id = i;
      }
    }
    limit_id = largest_of(best, best_id, lane);
    limit = logits[row + min(limit_id, VOCAB - 1u)];
    if (lane == 0u) {
      results[o].top_ids[n] = limit_id;
      results[o].top_logprobs[n] = limit - log_z;
    }
  }
}
