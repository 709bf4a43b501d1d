#include batch
// With RING keys and values enter the slot's ring; the launch after it attends. A workgroup has one row and head, and
// walks the keys THREADS at a time with a running softmax.
@group(0) @binding(0) var<storage, read> batch: Batch;
#if RING
@group(0) @binding(1) var<storage, read> k_in: array<f32>;
@group(0) @binding(2) var<storage, read> v_in: array<f32>;
@group(0) @binding(3) var<storage, read_write> ring: array<f32>;

@compute @workgroup_size(THREADS)
fn window_attention(@builtin(global_invocation_id) at: vec3<u32>) {
  if (at.x >= KV) { return; }
  let row = batch.row[at.y];
  if (row.id == ENDED) { return; }
  let to = (row.slot * 2u * RING_ROWS + row.position % RING_ROWS) * KV + at.x;
  ring[to] = k_in[at.y * K_STRIDE + K_OFFSET + at.x];
  ring[to + RING_ROWS * KV] = v_in[at.y * V_STRIDE + V_OFFSET + at.x];
}
#else
@group(0) @binding(1) var<storage, read> q_in: array<f32>;
@group(0) @binding(2) var<storage, read> ring: array<f32>;
@group(0) @binding(3) var<storage, read_write> y_out: array<f32>;

var<workgroup> query: array<f32, HEAD_DIM>;
var<workgroup> scores: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn window_attention(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = batch.row[group.y];
  let head = group.x;
  for (var d = lane; d < HEAD_DIM; d += THREADS) {
    query[d] = SCALE * q_in[group.y * Q_STRIDE + Q_OFFSET + head * HEAD_DIM + d];
  }
  workgroupBarrier();
  let keys = row.slot * 2u * RING_ROWS * KV + head * KV_HEADS / HEADS * HEAD_DIM;
  let values = keys + RING_ROWS * KV;
  let end = row.position + 1u;
  var sums: array<f32, DIMS>;
  for (var i = 0u; i < DIMS; i++) { sums[i] = 0.0; }
  var best = -3.0e38;
  var total = 0.0;
  for (var begin = end - min(end, WINDOW); begin < end; begin += THREADS) {
    let count = min(THREADS, end - begin);
    var score = -3.0e38;
    if (lane < count) {
      let key = keys + ((begin + lane) % RING_ROWS) * KV;
      score = 0.0;
      for (var d = 0u; d < HEAD_DIM; d++) { score += query[d] * ring[key + d]; }
    }
    scores[lane] = score;
    workgroupBarrier();
    var most = best;
    for (var i = 0u; i < count; i++) { most = max(most, scores[i]); }
    let shrink = exp(best - most);
    best = most;
    total *= shrink;
    for (var i = 0u; i < DIMS; i++) { sums[i] *= shrink; }
    for (var i = 0u; i < count; i++) {
      let weight = exp(scores[i] - best);
      let value = values + ((begin + i) % RING_ROWS) * KV;
      total += weight;
      for (var j = 0u; j < DIMS; j++) {
        let d = lane + j * THREADS;
        if (d < HEAD_DIM) { sums[j] += weight * ring[value + d]; }
      }
    }
    workgroupBarrier();
  }
  for (var j = 0u; j < DIMS; j++) {
    let d = lane + j * THREADS;
    if (d < HEAD_DIM) { y_out[group.y * Y_STRIDE + Y_OFFSET + head * HEAD_DIM + d] = sums[j] / total; }
  }
}
#endif
