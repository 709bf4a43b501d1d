#include batch math dt
// Steps of one row a slot: conv1d, ssd_scan and the gate of gate_norm in one launch. The norm is left to the
// projection that follows: `sum_squares` gets that of each workgroup's channels. A workgroup has BLOCK
// channels p of one head, the states n of a channel are spread over SLICES threads; see ssd_scan.wgsl. The ring has
// room for K inputs: what this row overwrites, none of its workgroups reads.
// Where a step has but one row, as mamba2_project, each workgroup also multiplies its channels by their columns of the
// projection's W, and leaves its partial sums, unnormed: the next reader of the residual adds them up
// (lib/partial_sums.wgsl).
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(1) var<storage, read> projection: array<f32>; // z, x B C, dt
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> ring: array<f32>; // [slots][K][CHANNELS]
@group(0) @binding(4) var<storage, read_write> state: array<f32>; // [slots][NHEADS][D_STATE][HEADDIM]
#if PROJECT
@group(0) @binding(5) var<storage, read_write> partial_sums: array<vec4<f32>>; // [NHEADS · BLOCKS][ROWS / 4 + 1]
#else
@group(0) @binding(5) var<storage, read_write> y_out: array<f32>;
@group(0) @binding(6) var<storage, read_write> sum_squares: array<f32>; // [rows][NHEADS · BLOCKS]
#endif

const THREADS = BLOCK * SLICES;
const FULL = D_STATE == SLICE * SLICES; // no thread has less
const D_INNER = NHEADS * HEADDIM;
const BC = NGROUPS * D_STATE;
const CHANNELS = D_INNER + 2u * BC;
var<workgroup> b_row: array<f32, D_STATE>;
var<workgroup> c_row: array<f32, D_STATE>;
var<workgroup> sums: array<f32, THREADS>;
var<workgroup> squares: array<f32, BLOCK>;
#if PROJECT
const SUM_VECTORS = ROWS / 4u; // vec4s of products; the sum of squares follows
const ITEMS = SUM_VECTORS * TILE_UNITS; // of four rows and a unit of columns
var<workgroup> gated: array<f32, BLOCK>;
var<workgroup> items: array<vec4<f32>, ITEMS>;
fn gated_at(i: u32) -> vec4<f32> {
  return vec4<f32>(gated[4u * i], gated[4u * i + 1u], gated[4u * i + 2u], gated[4u * i + 3u]);
}
#endif

// One channel of the convolution; `owner` also puts the input into the ring.
fn convolve(row: Row, at: u32, c: u32, owner: bool) -> f32 {
  let slot = row.slot * K * CHANNELS + c;
  let here = projection[at * P_STRIDE + XBC_OFFSET + c];
  let taps = V_WEIGHT + c * K;
#repeat TAPS
  let back$i = K - 1u - $i;
  let past$i = ring[slot + ((row.position + 1u + $i) % K) * CHANNELS];
  let tap$i = select(0.0, v[taps + $i], back$i <= row.position);
#end
  var sum = v[taps + K - 1u] * here;
#if HAS_BIAS
  sum += v[V_BIAS + c];
#endif
#repeat TAPS
  sum += tap$i * past$i;
#end
  if (owner && row.id != ENDED) { ring[slot + (row.position % K) * CHANNELS] = here; }
  return silu(sum);
}

@compute @workgroup_size(BLOCK * SLICES)
#if PROJECT
fn mamba2_project(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
#else
fn mamba2_decode(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
#endif
  let head = group.y;
  let row = batch.row[group.z];
  let p0 = group.x * BLOCK;
  let p = p0 + lane % BLOCK;
  let slice = lane / BLOCK;
  let base = (row.slot * NHEADS + head) * D_STATE * HEADDIM + p;
  let live = HEADDIM % BLOCK == 0u || p < HEADDIM;
  var h: array<f32, SLICE>;
#repeat SLICE
  if (live && (FULL || slice * SLICE + $i < D_STATE)) { h[$i] = state[base + (slice * SLICE + $i) * HEADDIM]; }
#end
  // All loads early: each would wait for memory anew.
  let dt_raw = projection[group.z * P_STRIDE + DT_OFFSET + head] + v[V_DT_BIAS + head];
  let a = v[V_A + head];
  let channel = min(head * HEADDIM + p, D_INNER - 1u);
  let z = projection[group.z * P_STRIDE + Z_OFFSET + channel];
#if D_PER_CHANNEL
  let skip = v[V_D + channel];
#else
  let skip = v[V_D + head];
#endif
#if NORM
  let gain = v[V_G + channel];
#else
  let gain = 1.0;
#endif
#if PROJECT
#repeat LOADS
  let item$i = min(lane + $i * THREADS, ITEMS - 1u);
  let block$i = load_block(item$i / TILE_UNITS * 4u, (head * HEADDIM + p0) / UNIT + item$i % TILE_UNITS);
#end
#endif
  let g = head * NGROUPS / NHEADS;
  let first = group.x == 0u && head * NGROUPS % NHEADS == 0u; // of its group: owns the channels of B and C
  let x = convolve(row, group.z, channel, live && slice == 0u);
  for (var i = lane; i < 2u * D_STATE; i += THREADS) {
    let c = g * D_STATE + i % D_STATE;
    if (i < D_STATE) {
      b_row[i] = convolve(row, group.z, D_INNER + c, first);
    } else {
      c_row[i - D_STATE] = convolve(row, group.z, D_INNER + BC + c, first);
    }
  }
#if PROJECT
  // Compilers put loads off until their use: a store that may depend on them, to where this step's sums go later, keeps them
  // above (7.3 or 7.9 µs become 6.5).
#repeat LOADS
  if (is_zero(block$i)) { sums[lane] = 0.0; }
#end
#endif
  workgroupBarrier();
  let dt = dt_of(dt_raw);
  let decay = exp(dt * a);
  let scaled = dt * x;
  var sum = 0.0;
#repeat SLICE
  if (FULL || slice * SLICE + $i < D_STATE) {
    h[$i] = decay * h[$i] + scaled * b_row[slice * SLICE + $i];
    sum += c_row[slice * SLICE + $i] * h[$i];
    if (live && row.id != ENDED) { state[base + (slice * SLICE + $i) * HEADDIM] = h[$i]; }
  }
#end
  sums[lane] = sum;
  workgroupBarrier();
  if (lane < BLOCK) {
    var square = 0.0;
    if (live) {
      var y = skip * x;
      for (var s = 0u; s < SLICES; s++) { y += sums[s * BLOCK + lane]; }
#if NORM_FIRST
      square = y * y;
#endif
      y *= silu(z);
#if GATE_FIRST
      square = y * y;
#endif
#if PROJECT
      gated[lane] = gain * y;
#else
      y_out[group.z * Y_STRIDE + Y_OFFSET + channel] = gain * y;
#endif
    }
    squares[lane] = square;
  }
  workgroupBarrier();
#if PROJECT
#if PACKED
  let i = min(lane, BLOCK / 8u - 1u);
  round_eight(i, gated_at(2u * i), gated_at(2u * i + 1u), lane < BLOCK / 8u);
#else
  if (lane < BLOCK / 4u) { x_tile[lane / PARTS * PITCH + lane % PARTS] = SHRINK * gated_at(lane); }
#endif
  workgroupBarrier();
#repeat LOADS
  if (lane + $i * THREADS < ITEMS) { items[item$i] = products(block$i, item$i % TILE_UNITS); }
#end
  workgroupBarrier();
  let begin = (head * BLOCKS + group.x) * (SUM_VECTORS + 1u);
  for (var i = lane; i < SUM_VECTORS; i += THREADS) {
    var sum = vec4<f32>();
    for (var u = 0u; u < TILE_UNITS; u++) { sum += items[i * TILE_UNITS + u]; }
    partial_sums[begin + i] = sum;
  }
#endif
  if (lane == 0u) {
    var all = 0.0;
    for (var i = 0u; i < BLOCK; i++) { all += squares[i]; }
#if PROJECT
    partial_sums[begin + SUM_VECTORS] = vec4<f32>(all);
#else
    sum_squares[(group.z * NHEADS + head) * BLOCKS + group.x] = all;
#endif
  }
}
