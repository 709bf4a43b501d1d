// Shared by the kernels of few rows of x. A workgroup has TEAMS teams of LANES threads; a team streams 4 · BLOCKS rows
// of W past one row of x, a thread a unit of each row at a time.
const THREADS = LANES * TEAMS;

#if SUBGROUPS
const SUMS = 64u; // subgroups of a workgroup, at most
struct Place {
  thread: u32,
  sg_size: u32,
  sg_lane: u32,
}
#else
const SUMS = THREADS;
struct Place {
  thread: u32,
}
#endif
var<workgroup> sums: array<vec4<f32>, SUMS * BLOCKS>;
#if NORMED
var<workgroup> squares: array<f32, SUMS>;
#endif

// The first of the rows that a team has.
fn first_row(group: vec3<u32>, team: u32) -> u32 {
  return ((group.x + group.z * MOST_GROUPS) * TEAMS + team) * 4u * BLOCKS;
}

// Puts the sums of all threads together; `square` is a thread's part of the norm's sum of squares.
fn finish(place: Place, group: vec3<u32>, sum: array<vec4<f32>, BLOCKS>, square: f32) {
  let thread = place.thread;
  let lane = thread % LANES;
  let team = thread / LANES;
  let first = first_row(group, team);
#if SUBGROUPS
  // A team is one or several whole subgroups, whose threads follow each other.
  for (var b = 0u; b < BLOCKS; b++) {
    let part = subgroupAdd(sum[b]);
    if (place.sg_lane == 0u) { sums[thread / place.sg_size * BLOCKS + b] = part; }
  }
#if NORMED
  let part_square = subgroupAdd(square);
  if (place.sg_lane == 0u) { squares[thread / place.sg_size] = part_square; }
#endif
  workgroupBarrier();
  let step = 1u;
  let begin = team * LANES / place.sg_size;
  let count = LANES / place.sg_size;
  let all = THREADS / place.sg_size;
#else
  for (var b = 0u; b < BLOCKS; b++) { sums[thread * BLOCKS + b] = sum[b]; }
#if NORMED
  squares[thread] = square;
#endif
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      for (var b = 0u; b < BLOCKS; b++) { sums[thread * BLOCKS + b] += sums[(thread + half) * BLOCKS + b]; }
    }
#if NORMED
    if (lane < half) { squares[thread] += squares[thread + half]; }
#endif
    workgroupBarrier();
  }
  let step = LANES;
  let begin = team * LANES;
  let count = 1u;
  let all = TEAMS;
#endif
  if (lane >= 4u * BLOCKS || first + lane >= ROWS) { return; }
  var total = 0.0;
  for (var i = 0u; i < count; i++) { total += sums[(begin + i) * BLOCKS + lane / 4u][lane % 4u]; }
#if NORMED
  var squared = 0.0;
  for (var i = 0u; i < all; i++) { squared += squares[i * step]; }
  total *= 1.0 / sqrt(squared / f32(NORM_COLS) + EPS);
#endif
  put(group.y, first + lane, total);
}
