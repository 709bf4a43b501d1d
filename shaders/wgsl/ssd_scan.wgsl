// The recurrence, rows of a segment one after the other. A workgroup has BLOCK channels p of one head; the states n
// of a channel are spread over SLICES threads, SLICE each, in VECTORS registers. A slot's state is [nheads][d_state][headdim].
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(1) var<storage, read> x_in: array<f32>;
@group(0) @binding(2) var<storage, read> b_in: array<f32>;
@group(0) @binding(3) var<storage, read> c_in: array<f32>;
@group(0) @binding(4) var<storage, read> dt_in: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> state: array<f32>;
@group(0) @binding(7) var<storage, read_write> y_out: array<f32>;

const THREADS = BLOCK * SLICES;
const FULL = D_STATE == SLICE * SLICES; // no thread has less
const PADDED = SLICE * SLICES; // of d_state
var<workgroup> b_tile: array<vec4<f32>, TILE * PADDED / 4>;
var<workgroup> c_tile: array<vec4<f32>, TILE * PADDED / 4>;
var<workgroup> steps: array<vec2<f32>, TILE>; // dt and decay of a row
var<workgroup> sums: array<f32, TILE * THREADS>;

@compute @workgroup_size(BLOCK * SLICES)
fn ssd_scan(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let segment = batch.segment[group.z];
  let head = group.y;
  let p = group.x * BLOCK + lane % BLOCK;
  let slice = lane / BLOCK;
  let live = HEADDIM % BLOCK == 0u || p < HEADDIM;
  let base = (segment.slot * NHEADS + head) * D_STATE * HEADDIM + p;
  let bc = head * NGROUPS / NHEADS * D_STATE;
  let channel = head * HEADDIM + p;
  var h: array<vec4<f32>, VECTORS>;
#repeat SLICE
  if (live && (FULL || slice * SLICE + $i < D_STATE)) { h[$i / 4u][$i % 4u] = state[base + (slice * SLICE + $i) * HEADDIM]; }
#end
  let a = v[V_A + head];
  let dt_bias = v[V_DT_BIAS + head];
#if D_PER_CHANNEL
  let skip = v[V_D + min(channel, NHEADS * HEADDIM - 1u)];
#else
  let skip = v[V_D + head];
#endif
  for (var begin = 0u; begin < segment.rows; begin += TILE) {
    for (var i = lane; i < TILE * PADDED; i += THREADS) {
      let row = segment.first + begin + i / PADDED;
      let n = i % PADDED;
      var b = 0.0;
      var c = 0.0;
      if (n < D_STATE && begin + i / PADDED < segment.rows) {
        b = b_in[row * B_STRIDE + B_OFFSET + bc + n];
        c = c_in[row * C_STRIDE + C_OFFSET + bc + n];
      }
      b_tile[i / 4u][i % 4u] = b;
      c_tile[i / 4u][i % 4u] = c;
    }
    let rows = min(TILE, segment.rows - begin);
    if (lane < rows) {
      let row = segment.first + begin + lane;
      let dt = dt_of(dt_in[row * DT_STRIDE + DT_OFFSET + head] + dt_bias);
      steps[lane] = vec2<f32>(dt, exp(dt * a));
    }
    // All loads of a tile at once: one after the other each would wait for memory.
    var xs: array<f32, TILE>;
    for (var t = 0u; t < TILE; t++) {
      let row = segment.first + begin + min(t, rows - 1u);
      xs[t] = x_in[row * X_STRIDE + X_OFFSET + min(channel, NHEADS * HEADDIM - 1u)];
    }
    workgroupBarrier();
    for (var t = 0u; t < rows; t++) {
      let step = steps[t];
      let x = xs[t];
      let scaled = step.x * x;
      var products = vec4<f32>();
      let n = (t * PADDED + slice * SLICE) / 4u;
#repeat VECTORS
      h[$i] = step.y * h[$i] + scaled * b_tile[n + $i];
      products += c_tile[n + $i] * h[$i];
#end
      var sum = products.x + products.y + products.z + products.w;
      if (slice == 0u) { sum += skip * x; }
      sums[t * THREADS + lane] = sum;
    }
    workgroupBarrier();
    for (var i = lane; i < rows * BLOCK; i += THREADS) {
      let t = i / BLOCK;
      let q = i % BLOCK;
      if (group.x * BLOCK + q < HEADDIM) {
        var total = 0.0;
        for (var s = 0u; s < SLICES; s++) { total += sums[t * THREADS + s * BLOCK + q]; }
        let row = segment.first + begin + t;
        y_out[row * Y_STRIDE + Y_OFFSET + head * HEADDIM + group.x * BLOCK + q] = total;
      }
    }
  }
  if (batch.row[segment.first].id == ENDED) { return; }
#repeat SLICE
  if (live && (FULL || slice * SLICE + $i < D_STATE)) { state[base + (slice * SLICE + $i) * HEADDIM] = h[$i / 4u][$i % 4u]; }
#end
}
