// Linears of many rows of x, which to_half left as halves, with products of matrices that a subgroup makes at once. A
// workgroup makes BM rows of x × BN rows of W, in tiles of BK columns that lie in workgroup memory; its SM × SN subgroups
// have FM × FN products of MM × MN each. Sums are f32. The next tile is asked for before this one is multiplied.
// Where W has few rows, several workgroups share its columns (PARTS).
@group(0) @binding(9) var<storage, read> halves: array<u32>; // [rows][STRIDE]
@group(0) @binding(10) var<storage, read> factors: array<f32>; // [rows]
#if PARTS
@group(0) @binding(11) var<storage, read_write> parts: array<f32>; // [SPLIT][PART_ROWS][ROWS], for sum_parts
#endif
const THREADS = SUBGROUP * SM * SN;
const PITCH = BK + 8u; // spreads rows over the banks
const TILE_WORDS = BK / WORD_COLS; // of a row of W
var<workgroup> x_tile: array<f16, BM * PITCH>;
var<workgroup> w_tile: array<f16, BN * PITCH>;
var<workgroup> products: array<f32, SM * SN * MM * MN>;

// What a thread has of a tile.
struct Coming {
  x: array<u32, X_PAIRS>,
  w: array<u32, W_WORDS>,
#if QUANT
  number: array<vec2<f32>, W_WORDS>,
#endif
}

fn load(row0: u32, rows: u32, out0: u32, k0: u32, lane: u32) -> Coming {
  var coming: Coming;
#repeat X_PAIRS
  {
    let i = lane + $i * THREADS;
    let pair = k0 / 2u + i % (BK / 2u);
    coming.x[$i] = halves[min(row0 + i / (BK / 2u), rows - 1u) * STRIDE + min(pair, STRIDE - 1u)];
  }
#end
#repeat W_WORDS
  {
    let i = lane + $i * THREADS;
    let row = min(out0 + i / TILE_WORDS, ROWS - 1u);
    let word = min(k0 / WORD_COLS + i % TILE_WORDS, COLS / WORD_COLS - 1u); // beyond the last column x is zero
    coming.w[$i] = words[row * ROW_VECTORS + word / 4u][word % 4u];
#if QUANT
    coming.number[$i] = number_at(row * GROUPS + word * WORD_COLS / GROUP);
#endif
  }
#end
  return coming;
}

#if QUANT
const LIFT = 64.0; // of scales, lest small ones lose bits
// Codes become halves without conversions: below the last bit of 1024's mantissa a code is 1024 + q.
fn two_codes(word: u32) -> vec2<f16> { return bitcast<vec2<f16>>(word | 0x64006400u) - vec2<f16>(f16(1024.0 + CENTER_CODE)); }
#else
const LIFT = 1.0;
#endif

fn store(coming: Coming, lane: u32) {
#repeat X_PAIRS
  {
    let i = lane + $i * THREADS;
    let to = i / (BK / 2u) * PITCH + i % (BK / 2u) * 2u;
    let two = bitcast<vec2<f16>>(coming.x[$i]);
    x_tile[to] = two.x;
    x_tile[to + 1u] = two.y;
  }
#end
#repeat W_WORDS
  {
    let i = lane + $i * THREADS;
    let word = i % TILE_WORDS;
    let to = i / TILE_WORDS * PITCH + word / BLOCK_WORDS * BLOCK + word % BLOCK_WORDS * 2u;
#if QUANT
    let number = LIFT * coming.number[$i];
    let scale = vec2<f16>(f16(number.x));
#if OFFSETS
    let offset = vec2<f16>(f16(number.y));
#else
    let offset = vec2<f16>();
#endif
#endif
    for (var j = 0u; j < PAIRS; j++) {
#if QUANT4
      let two = fma(two_codes((coming.w[$i] >> (4u * j)) & 0x000F000Fu), scale, offset);
#endif
#if QUANT8
      let two = fma(two_codes((coming.w[$i] >> (8u * j)) & 0x00FF00FFu), scale, offset);
#endif
#if F16
      let two = bitcast<vec2<f16>>(coming.w[$i]);
#endif
      w_tile[to + j * 2u * BLOCK_WORDS] = two.x;
      w_tile[to + j * 2u * BLOCK_WORDS + 1u] = two.y;
    }
  }
#end
}

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
