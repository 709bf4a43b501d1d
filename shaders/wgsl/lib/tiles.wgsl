// Tiles of BK columns in workgroup memory, BM rows of x, which to_f16 left as f16, and BN rows of W.
@group(0) @binding(9) var<storage, read> x_f16: array<u32>; // [rows][STRIDE]
@group(0) @binding(10) var<storage, read> factors: array<f32>; // [rows]
const TILE_WORDS = BK / WORD_COLS; // of a row of W
#if MATRICES
const PITCH = BK + 8u; // spreads rows over the banks
var<workgroup> x_tile: array<f16, BM * PITCH>;
var<workgroup> w_tile: array<f16, BN * PITCH>;
#else
const PITCH = BK / 2u + 1u;
var<workgroup> x_tile: array<vec2<f16>, BM * PITCH>;
var<workgroup> w_tile: array<vec2<f16>, BN * PITCH>;
#endif

// Columns 2 · pair and the next of a row of a tile.
fn put_x(row: u32, pair: u32, two: vec2<f16>) {
#if MATRICES
  x_tile[row * PITCH + 2u * pair] = two.x;
  x_tile[row * PITCH + 2u * pair + 1u] = two.y;
#else
  x_tile[row * PITCH + pair] = two;
#endif
}

fn put_w(row: u32, pair: u32, two: vec2<f16>) {
#if MATRICES
  w_tile[row * PITCH + 2u * pair] = two.x;
  w_tile[row * PITCH + 2u * pair + 1u] = two.y;
#else
  w_tile[row * PITCH + pair] = two;
#endif
}

// A thread's part of a tile.
struct Coming {
  x: array<u32, X_PAIRS>,
  w: array<u32, W_WORDS>,
#if QUANT
  affine: array<vec2<f32>, W_WORDS>,
#endif
}

fn load(row0: u32, rows: u32, out0: u32, k0: u32, lane: u32) -> Coming {
  var coming: Coming;
#repeat X_PAIRS
  {
    let i = lane + $i * THREADS;
    let pair = k0 / 2u + i % (BK / 2u);
    coming.x[$i] = x_f16[min(row0 + i / (BK / 2u), rows - 1u) * STRIDE + min(pair, STRIDE - 1u)];
  }
#end
#repeat W_WORDS
  {
    let i = lane + $i * THREADS;
    let row = min(out0 + i / TILE_WORDS, ROWS - 1u);
    let word = min(k0 / WORD_COLS + i % TILE_WORDS, COLS / WORD_COLS - 1u); // beyond the last column x is zero
    coming.w[$i] = words[row * ROW_VECTORS + word / 4u][word % 4u];
#if QUANT
    coming.affine[$i] = affine_at(row * GROUPS + word * WORD_COLS / GROUP);
#endif
  }
#end
  return coming;
}

#if QUANT
const LIFT = 64.0; // factor of scales, so that small ones keep their bits
// Codes become f16 without conversions: below the last bit of 1024's mantissa a code is 1024 + q.
fn two_codes(word: u32) -> vec2<f16> { return bitcast<vec2<f16>>(word | 0x64006400u) - vec2<f16>(f16(1024.0 + CENTER_CODE)); }
#else
const LIFT = 1.0;
#endif

fn store(coming: Coming, lane: u32) {
#repeat X_PAIRS
  {
    let i = lane + $i * THREADS;
    put_x(i / (BK / 2u), i % (BK / 2u), bitcast<vec2<f16>>(coming.x[$i]));
  }
#end
#repeat W_WORDS
  {
    let i = lane + $i * THREADS;
    let word = i % TILE_WORDS;
    let pair = word / BLOCK_WORDS * (BLOCK / 2u) + word % BLOCK_WORDS;
#if QUANT
    let affine = LIFT * coming.affine[$i];
    let scale = vec2<f16>(f16(affine.x));
#if OFFSETS
    let offset = vec2<f16>(f16(affine.y));
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
#if F16_WEIGHTS
      let two = bitcast<vec2<f16>>(coming.w[$i]);
#endif
      put_w(i / TILE_WORDS, pair + j * BLOCK_WORDS, two);
    }
  }
#end
}
