#include batch math dt
// The recurrence, rows of a segment one after the other. A workgroup has BLOCK channels p of one head; the states n
// of a channel are spread over SLICES threads, SLICE each, in VECTORS registers. A slot's state is [nheads][d_state][headdim].
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(1) var<storage, read> x_in: array<f32>;
#if BC_VECTORS
@group(0) @binding(2) var<storage, read> b_in: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> c_in: array<vec4<f32>>;
#else
@group(0) @binding(2) var<storage, read> b_in: array<f32>;
@group(0) @binding(3) var<storage, read> c_in: array<f32>;
#endif
@group(0) @binding(4) var<storage, read> dt_in: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> state: array<f32>;
@group(0) @binding(7) var<storage, read_write> y_out: array<f32>;

const THREADS = BLOCK * SLICES;
const FULL = D_STATE == SLICE * SLICES; // no thread has less
const ROW = VECTORS * SLICES; // vec4s of a row of B or C, padded
// A vec4 has one thread that writes it, as a whole: to write a component may touch the others.
var<workgroup> b_tile: array<vec4<f32>, TILE * ROW>;
var<workgroup> c_tile: array<vec4<f32>, TILE * ROW>;
var<workgroup> x_tile: array<f32, TILE * BLOCK>;
var<workgroup> steps: array<vec2<f32>, TILE>; // dt and decay of a row
var<workgroup> sums: array<f32, TILE * THREADS>;

// A thread's part of a tile: loaded while the tile before is computed.
struct Coming {
  b: array<vec4<f32>, LOADS>,
  c: array<vec4<f32>, LOADS>,
  x: array<f32, X_LOADS>,
  dt: f32,
}

// States n … n + 3 of a row that begins at `first`; beyond the last is anything.
#if BC_VECTORS
fn b_at(first: u32, n: u32) -> vec4<f32> { return b_in[(first + min(n, D_STATE - 4u)) / 4u]; }
fn c_at(first: u32, n: u32) -> vec4<f32> { return c_in[(first + min(n, D_STATE - 4u)) / 4u]; }
#else
fn four_from(first: u32, n: u32) -> vec4<u32> {
  return first + min(n + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(D_STATE - 1u));
}
fn b_at(first: u32, n: u32) -> vec4<f32> {
  let i = four_from(first, n);
  return vec4<f32>(b_in[i.x], b_in[i.y], b_in[i.z], b_in[i.w]);
}
fn c_at(first: u32, n: u32) -> vec4<f32> {
  let i = four_from(first, n);
  return vec4<f32>(c_in[i.x], c_in[i.y], c_in[i.z], c_in[i.w]);
}
#endif

fn ask(segment: Segment, begin: u32, group: vec3<u32>, lane: u32) -> Coming {
  let last = segment.rows - 1u;
  let head = group.y;
  let bc = head * NGROUPS / NHEADS * D_STATE;
  var coming: Coming;
#repeat LOADS
  {
    let i = lane + $i * THREADS;
    let row = segment.first + min(begin + i / ROW, last);
    coming.b[$i] = b_at(row * B_STRIDE + B_OFFSET + bc, i % ROW * 4u);
    coming.c[$i] = c_at(row * C_STRIDE + C_OFFSET + bc, i % ROW * 4u);
  }
#end
#repeat X_LOADS
  {
    let i = lane + $i * THREADS;
    let row = segment.first + min(begin + i / BLOCK, last);
    let p = min(group.x * BLOCK + i % BLOCK, HEADDIM - 1u);
    coming.x[$i] = x_in[row * X_STRIDE + X_OFFSET + head * HEADDIM + p];
  }
#end
  coming.dt = dt_in[(segment.first + min(begin + lane, last)) * DT_STRIDE + DT_OFFSET + head];
  return coming;
}

fn put_tile(coming: Coming, dt_bias: f32, a: f32, lane: u32) {
#repeat LOADS
  {
    let i = lane + $i * THREADS;
    if (i < TILE * ROW) {
      let known = (i % ROW * 4u + vec4<u32>(0u, 1u, 2u, 3u)) < vec4<u32>(D_STATE);
      b_tile[i] = select(vec4<f32>(), coming.b[$i], known);
      c_tile[i] = select(vec4<f32>(), coming.c[$i], known);
    }
  }
#end
#repeat X_LOADS
  if (lane + $i * THREADS < TILE * BLOCK) { x_tile[lane + $i * THREADS] = coming.x[$i]; }
#end
  if (lane < TILE) {
    let dt = dt_of(coming.dt + dt_bias);
    steps[lane] = vec2<f32>(dt, exp(dt * a));
  }
}

@compute @workgroup_size(BLOCK * SLICES)
fn ssd_scan(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let segment = batch.segment[group.z];
  let head = group.y;
  let p = group.x * BLOCK + lane % BLOCK;
  let slice = lane / BLOCK;
  let live = HEADDIM % BLOCK == 0u || p < HEADDIM;
  let base = (segment.slot * NHEADS + head) * D_STATE * HEADDIM + p;
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
  var coming = ask(segment, 0u, group, lane);
  for (var begin = 0u; begin < segment.rows; begin += TILE) {
    put_tile(coming, dt_bias, a, lane);
    workgroupBarrier();
    coming = ask(segment, begin + TILE, group, lane);
    let rows = min(TILE, segment.rows - begin);
    for (var t = 0u; t < rows; t++) {
      let step = steps[t];
      let x = x_tile[t * BLOCK + lane % BLOCK];
      let scaled = step.x * x;
      var products = vec4<f32>();
      let n = t * ROW + slice * VECTORS;
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
