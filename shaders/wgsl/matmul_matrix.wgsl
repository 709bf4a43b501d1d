#include batch rows linear weight f16 tiles
// Linears of many rows of x, which to_f16 left as f16, with products of matrices that a subgroup makes at once. A
// workgroup makes BM rows of x × BN rows of W, in tiles of BK columns that lie in workgroup memory; its SM × SN subgroups
// have FM × FN products of MM × MN each. Sums are f32. The next tile is asked for before this one is multiplied.
// Where W has few rows, several workgroups share its columns (PARTS).
#if PARTS
@group(0) @binding(11) var<storage, read_write> parts: array<f32>; // [SPLIT][PART_ROWS][ROWS], for sum_parts
#endif
const THREADS = SUBGROUP * SM * SN;
var<workgroup> products: array<f32, SM * SN * MM * MN>;

@compute @workgroup_size(SUBGROUP * SM * SN)
fn matmul_matrix(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) sg_lane: u32) {
  let out0 = group.x * BN;
  let row0 = group.y * BM;
  let rows = row_count();
  let m0 = subgroup / SN * FM * MM; // of the tile
  let n0 = subgroup % SN * FN * MN;
  var sums: array<subgroup_matrix_result<f32, MN, MM>, PRODUCTS>; // [FM][FN]
#if PARTS
  let begin = group.z * PART_COLS;
  let end = min(begin + PART_COLS, 2u * STRIDE);
#else
  let begin = 0u;
  let end = 2u * STRIDE;
#endif
  var coming = load(row0, rows, out0, begin, lane);
  for (var k0 = begin; k0 < end; k0 += BK) {
    store(coming, lane);
    workgroupBarrier();
    coming = load(row0, rows, out0, k0 + BK, lane);
    for (var k = 0u; k < BK; k += MK) {
      var x: array<subgroup_matrix_left<f16, MK, MM>, FM>;
      var w: array<subgroup_matrix_right<f16, MN, MK>, FN>;
#repeat FM
      x[$i] = subgroupMatrixLoad<subgroup_matrix_left<f16, MK, MM>>(&x_tile, (m0 + $i * MM) * PITCH + k, false, PITCH);
#end
#repeat FN
      w[$i] = subgroupMatrixLoad<subgroup_matrix_right<f16, MN, MK>>(&w_tile, (n0 + $i * MN) * PITCH + k, true, PITCH);
#end
#repeat PRODUCTS
      sums[$i] = subgroupMatrixMultiplyAccumulate(x[$i / FN], w[$i % FN], sums[$i]);
#end
    }
    workgroupBarrier();
  }
  let mine = subgroup * MM * MN;
#repeat PRODUCTS
  subgroupMatrixStore(&products, mine, sums[$i], false, MN);
  workgroupBarrier();
  for (var e = sg_lane; e < MM * MN; e += SUBGROUP) {
    let row = row0 + m0 + $i / FN * MM + e / MN;
    let out = out0 + n0 + $i % FN * MN + e % MN;
    if (row < rows && out < ROWS) {
      let value = factors[row] / LIFT * products[mine + e];
#if PARTS
      parts[(group.z * PART_ROWS + row) * ROWS + out] = value;
#else
      put(row, out, value);
#endif
    }
  }
  workgroupBarrier();
#end
}
