#include batch rows linear weight f16 tiles
// Linears of many rows of x, which to_f16 left as f16, in arithmetic of f16: faster than f32 on many devices, and
// half the workgroup memory. A workgroup of 128 threads makes BM rows of x × BN rows of W, a thread M_ROWS × N_ROWS of
// them. Products of RUN pairs of columns are summed as f16, those sums as f32. The next tile is asked for before this
// one is multiplied.
const THREADS = 128u;
const RUN = 16u;

@compute @workgroup_size(THREADS)
fn matmul_f16(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let out0 = group.x * BN;
  let row0 = group.y * BM;
  let rows = row_count();
  let m0 = lane / 16u * M_ROWS; // of the tile; of W lane % 16 and every 16th after it
  let n0 = lane % 16u;
  var sums: array<array<f32, N_ROWS>, M_ROWS>;
  var products: array<array<vec2<f16>, N_ROWS>, M_ROWS>; // out here: in the loop Tint would not clear it in every round
  var coming = load(row0, rows, out0, 0u, lane);
  for (var k0 = 0u; k0 < 2u * STRIDE; k0 += BK) {
    store(coming, lane);
    workgroupBarrier();
    coming = load(row0, rows, out0, k0 + BK, lane);
    for (var run = 0u; run < BK / 2u; run += RUN) {
      products = array<array<vec2<f16>, N_ROWS>, M_ROWS>();
      for (var k = run; k < run + RUN; k++) {
        var w: array<vec2<f16>, N_ROWS>;
#repeat N_ROWS
        w[$i] = w_tile[(n0 + 16u * $i) * PITCH + k];
#end
#repeat M_ROWS
        {
          let x = x_tile[(m0 + $i) * PITCH + k];
          for (var j = 0u; j < N_ROWS; j++) { products[$i][j] = fma(x, w[j], products[$i][j]); }
        }
#end
      }
#repeat M_ROWS
      for (var j = 0u; j < N_ROWS; j++) { sums[$i][j] += f32(products[$i][j].x) + f32(products[$i][j].y); }
#end
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < M_ROWS; i++) {
    let row = row0 + m0 + i;
    if (row >= rows) { break; }
    for (var j = 0u; j < N_ROWS; j++) {
      let out = out0 + n0 + 16u * j;
      if (out < ROWS) { put(row, out, factors[row] / LIFT * sums[i][j]); }
    }
  }
}
