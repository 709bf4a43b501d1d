#include batch rows input f16
// Rows of x as f16, for matmul_matrix and matmul_f16: x ⊙ g, scaled to LARGEST at most, so that none overflows.
// `factors` has what takes the scale back, and the norm with it. One workgroup a row.
@group(0) @binding(9) var<storage, read_write> x_f16: array<u32>; // [rows][STRIDE]
@group(0) @binding(10) var<storage, read_write> factors: array<f32>; // [rows]
var<workgroup> parts: array<vec2<f32>, THREADS>; // sum of squares, largest

@compute @workgroup_size(THREADS)
fn to_f16(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = x_row(group.x);
  var square = 0.0;
  var most = vec4<f32>();
  for (var c = 4u * lane; c < COLS; c += 4u * THREADS) {
    let x = x_at(row, c);
#if NORM
    square += dot(x, x);
#endif
    most = max(most, abs(x * g_at(c)));
  }
#if SUM_SQUARES
  for (var i = lane; i < N_SUM_SQUARES; i += THREADS) { square += sum_squares[row * N_SUM_SQUARES + i]; }
#endif
  parts[lane] = vec2<f32>(square, max(max(most.x, most.y), max(most.z, most.w)));
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      let other = parts[lane + half];
      parts[lane] = vec2<f32>(parts[lane].x + other.x, max(parts[lane].y, other.y));
    }
    workgroupBarrier();
  }
  let whole = parts[0];
  let largest = max(whole.y, 1e-30);
  for (var i = lane; i < STRIDE; i += THREADS) {
    let at = i % (BLOCK / 2u);
    let c = i / (BLOCK / 2u) * BLOCK + at % BLOCK_WORDS * WORD_COLS + at / BLOCK_WORDS;
    x_f16[group.x * STRIDE + i] = pack2x16float(LARGEST / largest * vec2<f32>(one_at(row, c), one_at(row, c + PAIRS)));
  }
  if (lane == 0u) {
#if NORMED
    factors[group.x] = largest / LARGEST / sqrt(whole.x / f32(NORM_COLS) + EPS);
#else
    factors[group.x] = largest / LARGEST;
#endif
  }
}

fn one_at(row: u32, c: u32) -> f32 {
  let at = min(c, COLS - 1u);
  let x = x_at(row, at / 4u * 4u) * g_at(at / 4u * 4u);
  return select(0.0, x[at % 4u], c < COLS);
}
