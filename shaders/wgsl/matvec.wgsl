#include batch rows input partial_sums linear weight unit block packed products team
// Linears of few rows of x, which lie in workgroup memory (x_tile), as floats or as integers.
#if ALIGNED
// Puts the columns of a tile of x there; returns this thread's part of their sum of squares.
fn put_x(row: u32, tile: u32, thread: u32) -> f32 {
  var square = 0.0;
#if PACKED
  for (var begin = 0u; begin < COLS / 8u; begin += THREADS) {
    let i = begin + thread;
    let live = i < COLS / 8u;
    let c = min(8u * i, COLS - 8u);
    let a = x_at(row, c);
    let b = x_at(row, c + 4u);
#if NORM
    square += select(0.0, dot(a, a) + dot(b, b), live);
#endif
    round_eight(i, a * g_at(c), b * g_at(c + 4u), live);
  }
#else
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
#endif
  return square;
}
#endif

@compute @workgroup_size(THREADS)
fn matvec(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32
#if SUBGROUPS
  , @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_invocation_id) sg_lane: u32
#endif
) {
#if SUBGROUPS
  let place = Place(thread, sg_size, sg_lane);
#else
  let place = Place(thread);
#endif
  let row = x_row(group.y);
  let lane = thread % LANES;
  let team = thread / LANES;
  let first = first_row(group, team);
  var sum: array<vec4<f32>, BLOCKS>;
  var square = 0.0;
#if ALIGNED
#if EARLY
  // A thread has few units: all are asked for before x is there.
  var blocks: array<Block, BLOCKS * UNITS_A_LANE>;
  for (var b = 0u; b < BLOCKS * UNITS_A_LANE; b++) {
    blocks[b] = load_block(first + 4u * (b % BLOCKS), min(lane + b / BLOCKS * LANES, UNITS - 1u));
  }
#endif
#if PARTIAL_SUMS
  add_partial_sums(place, group.x + group.z == 0u);
#endif
  for (var tile = 0u; tile < UNITS; tile += TILE_UNITS) {
    let units = min(TILE_UNITS, UNITS - tile);
    if (tile > 0u) { workgroupBarrier(); }
    square += put_x(row, tile, thread);
    workgroupBarrier();
#if EARLY
    for (var i = 0u; i < UNITS_A_LANE; i++) {
      let u = lane + i * LANES;
      if (u < units) {
        for (var b = 0u; b < BLOCKS; b++) { sum[b] += products(blocks[i * BLOCKS + b], u); }
      }
    }
#else
    for (var u = lane; u < units; u += LANES) {
      var blocks: array<Block, BLOCKS>;
      for (var b = 0u; b < BLOCKS; b++) { blocks[b] = load_block(first + 4u * b, tile + u); }
      for (var b = 0u; b < BLOCKS; b++) { sum[b] += products(blocks[b], u); }
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
#if SUM_SQUARES
  for (var i = thread; i < N_SUM_SQUARES; i += THREADS) { square += sum_squares[row * N_SUM_SQUARES + i]; }
#endif
  finish(place, group, sum, square);
}
