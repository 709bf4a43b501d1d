#include batch rows input linear weight unit
// Linears of many rows of x: a workgroup of 128 threads makes 64 rows of x × 64 · NJ rows of W, in tiles of 32 columns
// that lie in workgroup memory, columns outermost, 16 and 16 · NJ vec4s each. A thread has 8 rows of x and 4 · NJ of W.
// It fills a tile by blocks of 4 rows × 4 columns, turned in registers: a vec4 has one thread that writes it, as a whole,
// since to write a component may touch the others. Neighbouring threads have neighbouring rows: no bank conflicts.
const BM = 64u;
const BN = 64u * NJ;
const BK = 32u;
var<workgroup> x_tile: array<vec4<f32>, BK * BM / 4>;
var<workgroup> w_tile: array<vec4<f32>, BK * BN / 4>;

// Columns 4 · part … 4 · part + 3 of a tile, of four rows.
fn put_x(part: u32, quad: u32, columns: mat4x4<f32>) {
  let at = part * BM + quad;
  x_tile[at] = columns[0];
  x_tile[at + BM / 4u] = columns[1];
  x_tile[at + BM / 2u] = columns[2];
  x_tile[at + BM / 4u * 3u] = columns[3];
}
fn put_w(part: u32, quad: u32, columns: mat4x4<f32>) {
  let at = part * BN + quad;
  w_tile[at] = columns[0];
  w_tile[at + BN / 4u] = columns[1];
  w_tile[at + BN / 2u] = columns[2];
  w_tile[at + BN / 4u * 3u] = columns[3];
}

// Columns c … c + 3 of a row of x, and of g; zero beyond the last.
fn x_of(row: u32, rows: u32, c: u32) -> vec4<f32> {
  if (row < rows && c < COLS) { return x_at(x_row(row), c); }
  return vec4<f32>();
}
fn g_of(c: u32) -> vec4<f32> {
  if (c < COLS) { return g_at(c); }
  return vec4<f32>();
}

// Columns c … c + 3 of a row of W; any of W's beyond the last, where x is zero.
fn w_of(out: u32, c: u32) -> vec4<f32> {
  let row = min(out, ROWS - 1u);
#if ALIGNED
  let at = min(c, COLS - 4u);
  let unit = row * ROW_VECTORS + at / UNIT;
#if QUANT
  let affine = affine_at(row * GROUPS + at / GROUP);
  let scale = affine.x * SHRINK;
#if OFFSETS
  let offset = vec4<f32>(affine.y);
#else
  let offset = vec4<f32>();
#endif
#endif
#if QUANT4
  return scale * codes(words[unit][at / 8u % 4u] >> (at % 8u * 4u)) + offset;
#endif
#if QUANT8
  return scale * codes(words[unit][at / 4u % 4u]) + offset;
#endif
#if F16_WEIGHTS
  return unpack_f16(words[unit][at / 2u % 4u], words[unit][at / 2u % 4u + 1u]);
#endif
#if F32_WEIGHTS
  return bitcast<vec4<f32>>(words[unit]);
#endif
#else
  var w = vec4<f32>();
  for (var e = 0u; e < 4u; e++) {
    if (c + e < COLS) { w[e] = weight_at(row, c + e); }
  }
  return w;
#endif
}

@compute @workgroup_size(128)
fn matmul(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let out0 = group.x * BN;
  let row0 = group.y * BM;
  let rows = row_count();
  let i0 = lane / 16u * 2u; // vec4 of rows, and the one after it
  let j0 = lane % 16u; // vec4 of rows of W, and every 16th after it
  var sums: array<vec4<f32>, 8 * NJ>; // [8 rows][NJ]
  for (var i = 0u; i < 8u * NJ; i++) { sums[i] = vec4<f32>(); }
  var squares = vec4<f32>(); // of the four rows of x that this thread fills in
  let quad = lane % 8u + lane / 64u * 8u;
  let part = lane / 8u % 8u; // of the columns
  for (var k0 = 0u; k0 < COLS; k0 += BK) {
    let c = k0 + 4u * part;
    let first = row0 + 4u * quad;
    let x = array<vec4<f32>, 4>(x_of(first, rows, c), x_of(first + 1u, rows, c), x_of(first + 2u, rows, c),
      x_of(first + 3u, rows, c));
#if NORM
    squares += vec4<f32>(dot(x[0], x[0]), dot(x[1], x[1]), dot(x[2], x[2]), dot(x[3], x[3]));
#endif
    let g = g_of(c);
    put_x(part, quad, transpose(mat4x4<f32>(x[0] * g, x[1] * g, x[2] * g, x[3] * g)));
    for (var j = quad; j < BN / 4u; j += 16u) {
      let out = out0 + 4u * j;
      put_w(part, j, transpose(mat4x4<f32>(w_of(out, c), w_of(out + 1u, c), w_of(out + 2u, c), w_of(out + 3u, c))));
    }
    workgroupBarrier();
    for (var k = 0u; k < BK; k++) {
      let a = x_tile[k * (BM / 4u) + i0];
      let c = x_tile[k * (BM / 4u) + i0 + 1u];
      for (var j = 0u; j < NJ; j++) {
        let b = w_tile[k * (BN / 4u) + j0 + j * 16u];
        sums[j] += a.x * b;
        sums[NJ + j] += a.y * b;
        sums[2u * NJ + j] += a.z * b;
        sums[3u * NJ + j] += a.w * b;
        sums[4u * NJ + j] += c.x * b;
        sums[5u * NJ + j] += c.y * b;
        sums[6u * NJ + j] += c.z * b;
        sums[7u * NJ + j] += c.w * b;
      }
    }
    workgroupBarrier();
  }
#if NORM
  w_tile[part * (BM / 4u) + quad] = squares;
  workgroupBarrier();
#endif
#if SUM_SQUARES
  // Two threads a row put its sums of squares together.
  let r = min(row0 + lane / 2u, rows - 1u);
  var sum = 0.0;
  for (var e = lane % 2u; e < N_SUM_SQUARES; e += 2u) { sum += sum_squares[x_row(r) * N_SUM_SQUARES + e]; }
  w_tile[lane] = vec4<f32>(sum);
  workgroupBarrier();
#endif
  for (var i = 0u; i < 8u; i++) {
    let row = row0 + i0 * 4u + i;
    if (row >= rows) { break; }
    var inverse = 1.0;
#if NORM
    var by_part = vec4<f32>(); // and by the fourth after it
    for (var e = 0u; e < 4u; e++) {
      let at = e * (BM / 4u) + i0 + i / 4u;
      by_part[e] = w_tile[at][i % 4u] + w_tile[at + BM][i % 4u];
    }
    let all = dot(by_part, vec4<f32>(1.0));
    inverse = 1.0 / sqrt(all / f32(NORM_COLS) + EPS);
#endif
#if SUM_SQUARES
    let all = w_tile[(i0 * 4u + i) * 2u].x + w_tile[(i0 * 4u + i) * 2u + 1u].x;
    inverse = 1.0 / sqrt(all / f32(NORM_COLS) + EPS);
#endif
    for (var j = 0u; j < NJ; j++) {
      for (var e = 0u; e < 4u; e++) {
        let out = out0 + (j0 + j * 16u) * 4u + e;
        if (out < ROWS) { put(row, out, inverse * sums[i * NJ + j][e]); }
      }
    }
  }
}
