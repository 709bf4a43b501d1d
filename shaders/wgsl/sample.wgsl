#include batch output reduce values select
// src/ops/sample.ts, one workgroup an output. In steps ahead the sampled token becomes its row of the next step.
@group(0) @binding(0) var<storage, read_write> batch: Batch;
@group(0) @binding(1) var<storage, read_write> outputs: array<Output, OUTPUTS>;
@group(0) @binding(2) var<storage, read> logits: array<vec4<f32>>; // [rows][VECTORS]
@group(0) @binding(3) var<storage, read> biases: array<vec2<u32>>; // [OUTPUTS][MAX_BIAS]: id, bits of the value
@group(0) @binding(4) var<storage, read_write> adjusted: array<vec4<f32>>; // [OUTPUTS][VECTORS]
@group(0) @binding(5) var<storage, read_write> results: array<Result>; // [steps ahead][outputs]

// Shared by all threads.
struct Wanted {
  at: u32, // of `results`
  wants: u32,
  adjusted: bool,
  temperature: f32,
  top_k: u32,
  top_p: f32,
  n_top: u32,
}
var<workgroup> wanted: Wanted;

fn wanted_of(o: u32) -> Wanted {
  let penalized = outputs[o].repetition != 1.0 || outputs[o].frequency != 0.0 || outputs[o].presence != 0.0;
  let adjusted = (penalized && outputs[o].n_recent > 0u) || outputs[o].n_bias > 0u;
  return Wanted(outputs[o].ahead * batch.outputs + o, outputs[o].wants, adjusted, outputs[o].temperature,
    outputs[o].top_k, outputs[o].top_p, outputs[o].n_top);
}
fn logit(o: u32, id: u32) -> f32 { return logits[outputs[o].logits * VECTORS + id / 4u][id % 4u]; }

@compute @workgroup_size(THREADS)
fn sample(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let o = group.x;
  if (lane == 0u) { wanted = wanted_of(o); }
  let want = workgroupUniformLoad(&wanted);
  let raw = Source(outputs[o].logits * VECTORS, 1.0, false);
  let whole = whole_of(summary_of(raw, lane), lane);
  let log_z = whole.best + log(whole.mass);
  if (lane == 0u) { results[want.at].faulty = select(0u, 1u, whole.mass < 0.0); }
  if ((want.wants & 1u) != 0u && lane == 0u) {
    results[want.at].target_logprob = logit(o, outputs[o].target_id) - log_z;
  }
  if ((want.wants & 2u) == 0u) { return; }
  var id = whole.best_id;
  if (want.adjusted || want.temperature != 0.0) {
    if (want.adjusted) { adjust(o, lane); }
    let first = select(outputs[o].logits, o, want.adjusted) * VECTORS;
    let source = Source(first, select(want.temperature, 1.0, want.temperature == 0.0), want.adjusted);
    let best = whole_of(summary_of(source, lane), lane);
    id = best.best_id;
    if (want.temperature != 0.0) {
      let cut = top_p_cut(want.top_p, source, top_k_cut(want.top_k, source, lane), best.best, lane);
      id = draw(o, source, cut, best.best, lane);
    }
  }
  id = min(id, VOCAB - 1u);
  if (lane == 0u) {
    results[want.at].id = id;
    results[want.at].logprob = logit(o, id) - log_z;
  }
  // The most probable, one after the other.
  var limit = 3.4e38;
  var limit_id = 0u;
  for (var n = 0u; n < want.n_top; n++) {
    limit_id = min(whole_of(largest_below(raw, limit, limit_id, lane), lane).best_id, VOCAB - 1u);
    limit = logit(o, limit_id);
    if (lane == 0u) {
      results[want.at].top_ids[n] = limit_id;
      results[want.at].top_logprobs[n] = limit - log_z;
    }
  }
  if (lane == 0u && batch.goes_on != 0u) { follow(o, id); }
}

fn follow(o: u32, id: u32) {
  outputs[o].ahead += 1u;
  let row = outputs[o].row;
  if (batch.row[row].id == ENDED) { return; }
  for (var i = 0u; i < outputs[o].n_ends; i++) {
    if (outputs[o].ends[i] == id) {
      batch.row[row].id = ENDED;
      return;
    }
  }
  batch.row[row].id = id;
  batch.row[row].position += 1u;
  batch.segment[batch.row[row].segment].position += 1u;
  outputs[o].position += 1u;
  if (outputs[o].n_recent < MAX_RECENT) {
    outputs[o].recent[outputs[o].n_recent] = id;
    outputs[o].n_recent += 1u;
  } else {
    outputs[o].recent[outputs[o].oldest] = id;
    outputs[o].oldest = (outputs[o].oldest + 1u) % MAX_RECENT;
  }
}
