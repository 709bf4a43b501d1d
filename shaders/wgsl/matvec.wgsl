// Linears of few rows of x, which lie in workgroup memory: read from there, their columns come without bank conflicts.
#if ALIGNED
const PARTS = UNIT / 4u;
const PITCH = PARTS + 1u; // vec4s from unit to unit of the tile
var<workgroup> x_tile: array<vec4<f32>, TILE_UNITS * PITCH>;

#if QUANT
fn dots(w: vec4<u32>, x: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(dot(codes(w.x), x), dot(codes(w.y), x), dot(codes(w.z), x), dot(codes(w.w), x));
}
#endif
// The products of 4 rows with the unit of x at `at` of the tile.
fn products(block: Block, at: u32) -> vec4<f32> {
  let a = block.w[0];
  let b = block.w[1];
  let c = block.w[2];
  let d = block.w[3];
#if QUANT4
  var sum = dots(vec4<u32>(a.x, b.x, c.x, d.x), x_tile[at]);
  sum += dots(vec4<u32>(a.x, b.x, c.x, d.x) >> vec4<u32>(16u), x_tile[at + 1u]);
  sum += dots(vec4<u32>(a.y, b.y, c.y, d.y), x_tile[at + 2u]);
  sum += dots(vec4<u32>(a.y, b.y, c.y, d.y) >> vec4<u32>(16u), x_tile[at + 3u]);
  sum += dots(vec4<u32>(a.z, b.z, c.z, d.z), x_tile[at + 4u]);
  sum += dots(vec4<u32>(a.z, b.z, c.z, d.z) >> vec4<u32>(16u), x_tile[at + 5u]);
  sum += dots(vec4<u32>(a.w, b.w, c.w, d.w), x_tile[at + 6u]);
  sum += dots(vec4<u32>(a.w, b.w, c.w, d.w) >> vec4<u32>(16u), x_tile[at + 7u]);
#endif
#if QUANT8
  var sum = dots(vec4<u32>(a.x, b.x, c.x, d.x), x_tile[at]);
  sum += dots(vec4<u32>(a.y, b.y, c.y, d.y), x_tile[at + 1u]);
  sum += dots(vec4<u32>(a.z, b.z, c.z, d.z), x_tile[at + 2u]);
  sum += dots(vec4<u32>(a.w, b.w, c.w, d.w), x_tile[at + 3u]);
#endif
#if QUANT
  let number = block.number;
  sum *= vec4<f32>(number[0].x, number[1].x, number[2].x, number[3].x);
#if OFFSETS
  var inputs = 0.0;
  for (var i = 0u; i < PARTS; i++) { inputs += dot(x_tile[at + i], 1.0 / SHRINK); }
  sum += inputs * vec4<f32>(number[0].y, number[1].y, number[2].y, number[3].y);
#endif
  return sum;
#endif
#if F16
  let x = x_tile[at];
  let y = x_tile[at + 1u];
  return vec4<f32>(dot(halves(a.x, a.y), x) + dot(halves(a.z, a.w), y), dot(halves(b.x, b.y), x) + dot(halves(b.z, b.w), y),
    dot(halves(c.x, c.y), x) + dot(halves(c.z, c.w), y), dot(halves(d.x, d.y), x) + dot(halves(d.z, d.w), y));
#endif
#if F32
  let x = x_tile[at];
  return vec4<f32>(dot(bitcast<vec4<f32>>(a), x), dot(bitcast<vec4<f32>>(b), x), dot(bitcast<vec4<f32>>(c), x),
    dot(bitcast<vec4<f32>>(d), x));
#endif
}
#endif

@compute @workgroup_size(THREADS)
fn matvec(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32
#if SUBGROUPS
  , @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) sg_lane: u32
#endif
) {
  let row = x_row(group.y);
  let lane = thread % LANES;
  let team = thread / LANES;
  let first = first_row(group, team);
  var sum: array<vec4<f32>, BLOCKS>;
  var square = 0.0;
#if STATS
  for (var i = thread; i < N_STATS; i += THREADS) { square += stats[row * N_STATS + i]; }
#endif
#if ALIGNED
#if EARLY
  // A thread has few units: all are asked for before x is there.
  var blocks: array<Block, BLOCKS * UNITS_A_LANE>;
  for (var b = 0u; b < BLOCKS * UNITS_A_LANE; b++) {
    blocks[b] = load_block(first + 4u * (b % BLOCKS), min(lane + b / BLOCKS * LANES, UNITS - 1u));
  }
#endif
  for (var tile = 0u; tile < UNITS; tile += TILE_UNITS) {
    let units = min(TILE_UNITS, UNITS - tile);
    if (tile > 0u) { workgroupBarrier(); }
    for (var i = thread; i < TILE_UNITS * PARTS; i += THREADS) {
      let c = (tile * PARTS + i) * 4u;
      if (c < COLS) {
        var value = x_at(row, c);
#if NORM
        square += dot(value, value);
#endif
        value *= g_at(c);
#if QUANT
        value *= SHRINK;
#endif
        x_tile[i / PARTS * PITCH + i % PARTS] = value;
      }
    }
    workgroupBarrier();
#if EARLY
    for (var i = 0u; i < UNITS_A_LANE; i++) {
      let u = lane + i * LANES;
      if (u < units) {
        for (var b = 0u; b < BLOCKS; b++) { sum[b] += products(blocks[i * BLOCKS + b], u * PITCH); }
      }
    }
#else
    for (var u = lane; u < units; u += LANES) {
      var blocks: array<Block, BLOCKS>;
      for (var b = 0u; b < BLOCKS; b++) { blocks[b] = load_block(first + 4u * b, tile + u); }
      for (var b = 0u; b < BLOCKS; b++) { sum[b] += products(blocks[b], u * PITCH); }
    }
#endif
  }
#else
  for (var c = lane; c < COLS; c += LANES) {
    var value = x_at(row, c - c % 4u)[c % 4u];
#if NORM
    if (team == 0u) { square += value * value; }
#endif
    value *= g_at(c - c % 4u)[c % 4u];
    for (var r = 0u; r < 4u * BLOCKS; r++) { sum[r / 4u][r % 4u] += weight_at(weight_row(first + r), c) * value; }
  }
#endif
#if SUBGROUPS
  finish(Place(thread, sg_size, sg_lane), group, sum, square);
#else
  finish(Place(thread), group, sum, square);
#endif
}
