// The largest logit of each of PARTS parts of a row, and the sum of exponentials: `sample` puts them together.
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> parts: array<Part>; // [rows][PARTS]

@compute @workgroup_size(THREADS)
fn log_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * LOGITS_STRIDE;
  let begin = group.x * SPAN;
  let end = min(begin + SPAN, VOCAB);
  var best = LOWEST;
  var best_id = VOCAB;
  var faulty = 0u;
  for (var id = begin + lane; id < end; id += THREADS) {
    let l = logits[row + id];
    if (l > best || best_id == VOCAB) {
      best = l;
      best_id = id;
    }
    faulty |= select(0u, 1u, (bitcast<u32>(l) & 0x7fffffffu) > 0x7f7fffffu);
  }
  let top = largest_of(best, best_id, lane);
  let most = workgroupUniformLoad(&numbers[0]);
  var mass = 0.0;
  for (var id = begin + lane; id < end; id += THREADS) { mass += exp(logits[row + id] - most); }
  let sum = sum_of(mass, lane);
  let bad = count_of(faulty, lane);
  if (lane == 0u) { parts[group.y * PARTS + group.x] = Part(most, top, sum, bad); }
}
