#include batch math
// Causal depthwise convolution. A launch with RING follows, in which the last K rows of every segment enter the
// slot's ring: within one launch they would overwrite what its first rows still read.
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(1) var<storage, read> x_in: array<f32>;
#if RING
@group(0) @binding(2) var<storage, read_write> ring: array<f32>;
#else
@group(0) @binding(2) var<storage, read> ring: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> y_out: array<f32>;
#endif

@compute @workgroup_size(256)
fn conv1d(@builtin(global_invocation_id) at: vec3<u32>) {
  let c = at.x;
  if (c >= CHANNELS) { return; }
#if RING
  let segment = batch.segment[at.y / K];
  if (at.y % K >= segment.rows) { return; }
  let r = segment.first + segment.rows - 1u - at.y % K;
#else
  let r = at.y;
#endif
  let row = batch.row[r];
  let slot = row.slot * K * CHANNELS + c;
  let here = X_OFFSET + c + r * X_STRIDE;
#if RING
  if (row.id != ENDED) { ring[slot + (row.position % K) * CHANNELS] = x_in[here]; }
#else
  let first = batch.segment[row.segment].first;
  let taps = V_WEIGHT + c * K;
  var sum = 0.0;
#if HAS_BIAS
  sum = v[V_BIAS + c];
#endif
  for (var back = 0u; back < min(K, row.position + 1u); back++) {
    var x: f32;
    if (r - first >= back) {
      x = x_in[here - back * X_STRIDE];
    } else {
      x = ring[slot + ((row.position - back) % K) * CHANNELS];
    }
    sum += v[taps + K - 1u - back] * x;
  }
#if SILU
  sum = silu(sum);
#endif
  y_out[r * Y_STRIDE + Y_OFFSET + c] = sum;
#endif
}
