// Linears of many rows of x: a workgroup of 128 threads makes 64 rows of x × 64 · NJ rows of W, in tiles of 32 columns
// that lie in workgroup memory, columns outermost, X_PITCH and 16 · NJ vec4s each. A thread has 8 rows of x and
// 4 · NJ of W.
const BM = 64u;
const BN = 64u * NJ;
const BK = 32u;
var<workgroup> x_tile: array<vec4<f32>, BK * X_PITCH>;
var<workgroup> w_tile: array<vec4<f32>, BK * BN / 4>;

fn put_w(k: u32, n: u32, w: vec4<f32>) {
  for (var e = 0u; e < 4u; e++) { w_tile[(k + e) * (BN / 4u) + n / 4u][n % 4u] = w[e]; }
}

fn load_weights(out0: u32, k0: u32, lane: u32) {
  for (var n = lane; n < BN; n += 128u) {
    let row = min(out0 + n, ROWS - 1u);
#if ALIGNED
    for (var u = 0u; u < BK / UNIT; u++) {
      let c = k0 + u * UNIT;
      let k = u * UNIT;
      var word = vec4<u32>();
#if QUANT
      var number = vec2<f32>();
#endif
      if (c < COLS) {
        word = words[row * ROW_VECTORS + c / UNIT];
#if QUANT
        number = number_at(row * GROUPS + c / GROUP);
#endif
      }
#if QUANT
      let scale = number.x * SHRINK;
#if OFFSETS
      let offset = vec4<f32>(number.y);
#else
      let offset = vec4<f32>();
#endif
#endif
#if QUANT4
      for (var j = 0u; j < 4u; j++) {
        put_w(k + j * 8u, n, scale * codes(word[j]) + offset);
        put_w(k + j * 8u + 4u, n, scale * codes(word[j] >> 16u) + offset);
      }
#endif
#if QUANT8
      for (var j = 0u; j < 4u; j++) { put_w(k + j * 4u, n, scale * codes(word[j]) + offset); }
#endif
#if F16
      put_w(k, n, halves(word.x, word.y));
      put_w(k + 4u, n, halves(word.z, word.w));
#endif
#if F32
      put_w(k, n, bitcast<vec4<f32>>(word));
#endif
    }
#else
    for (var k = 0u; k < BK; k += 4u) {
      var w = vec4<f32>();
      for (var e = 0u; e < 4u; e++) {
        if (k0 + k + e < COLS) { w[e] = weight_at(row, k0 + k + e); }
      }
      put_w(k, n, w);
    }
#endif
  }
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
  var squares = vec4<f32>(); // of rows lane / 8, + 16, …
  let xr = lane / 8u;
  let xk = lane % 8u * 4u;
  for (var k0 = 0u; k0 < COLS; k0 += BK) {
    var g = vec4<f32>();
    if (k0 + xk < COLS) { g = g_at(k0 + xk); }
    for (var i = 0u; i < 4u; i++) {
      let r = xr + i * 16u;
      var x = vec4<f32>();
      if (row0 + r < rows && k0 + xk < COLS) { x = x_at(x_row(row0 + r), k0 + xk); }
#if NORM
      squares[i] += dot(x, x);
#endif
      x *= g;
      for (var e = 0u; e < 4u; e++) { x_tile[(xk + e) * X_PITCH + r / 4u][r % 4u] = x[e]; }
    }
    load_weights(out0, k0, lane);
    workgroupBarrier();
    for (var k = 0u; k < BK; k++) {
      let a = x_tile[k * X_PITCH + i0];
      let c = x_tile[k * X_PITCH + i0 + 1u];
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
  for (var i = 0u; i < 4u; i++) { w_tile[(xr + i * 16u) * 2u + lane % 8u / 4u][lane % 4u] = squares[i]; }
  workgroupBarrier();
#endif
#if STATS
  // Two threads a row put its sums of squares together.
  let r = min(row0 + lane / 2u, rows - 1u);
  var part = 0.0;
  for (var e = lane % 2u; e < N_STATS; e += 2u) { part += stats[x_row(r) * N_STATS + e]; }
  w_tile[lane].x = part;
  workgroupBarrier();
#endif
  for (var i = 0u; i < 8u; i++) {
    let row = row0 + i0 * 4u + i;
    if (row >= rows) { break; }
    var inverse = 1.0;
#if NORM
    let all = dot(w_tile[(i0 * 4u + i) * 2u] + w_tile[(i0 * 4u + i) * 2u + 1u], vec4<f32>(1.0));
    inverse = 1.0 / sqrt(all / f32(NORM_COLS) + EPS);
#endif
#if STATS
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
