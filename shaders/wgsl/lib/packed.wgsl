// Products of four rows with units of x, as integers. x is rounded to 16 bits by units of columns (the error is 2^-16 of the
// largest at most), and each half of it meets the codes in packed dot products of 8 bits. A thread rounds eight columns; a
// unit has EIGHTS times as many.
#if PACKED
const PITCH = EIGHTS + 1u; // from unit to unit: spreads them over the banks, and has room for the unit's numbers
const LARGEST = 32512.0; // of 16 bits, such that the upper half is within 8 bits when the lower is rounded off
var<workgroup> x_tile: array<vec4<u32>, TILE_UNITS * PITCH>;

// Lower and upper halves of four numbers.
fn halves_of(v: vec4<i32>) -> vec2<u32> { return vec2<u32>(pack4xI8(v), pack4xI8((v + vec4<i32>(128)) >> vec4<u32>(8u))); }

// Rounds the columns 8 · i … 8 · i + 7; all threads of a subgroup must be here, those that are not `live` put nothing down.
fn round_eight(i: u32, a: vec4<f32>, b: vec4<f32>, live: bool) {
  let largest = max(abs(a), abs(b));
  var most = max(max(largest.x, largest.y), max(largest.z, largest.w));
  for (var far = 1u; far < EIGHTS; far *= 2u) { most = max(most, subgroupShuffleXor(most, far)); }
  let inverse = select(0.0, LARGEST / most, most > 0.0);
  let p = vec4<i32>(round(a * inverse));
  let q = vec4<i32>(round(b * inverse));
  let pair = p + q;
  var all = pair.x + pair.y + pair.z + pair.w;
  for (var far = 1u; far < EIGHTS; far *= 2u) { all += subgroupShuffleXor(all, far); }
  if (live) {
    let at = i / EIGHTS * PITCH;
#if QUANT4
    x_tile[at + i % EIGHTS] = vec4<u32>(halves_of(vec4<i32>(p.xz, q.xz)), halves_of(vec4<i32>(p.yw, q.yw)));
#else
    x_tile[at + i % EIGHTS] = vec4<u32>(halves_of(p), halves_of(q));
#endif
    if (i % EIGHTS == 0u) {
      let scale = most / LARGEST;
      x_tile[at + EIGHTS] = vec4<u32>(bitcast<u32>(scale), bitcast<u32>(scale * f32(all)), 0u, 0u);
    }
  }
}

// A row's products with eight columns: lower and upper halves.
#if QUANT4
fn eight(w: vec4<u32>, j: u32, x: vec4<u32>) -> vec2<i32> {
  let even = w[j] & 0x0F0F0F0Fu;
  let odd = (w[j] >> 4u) & 0x0F0F0F0Fu;
  return vec2<i32>(dot4I8Packed(even, x.x) + dot4I8Packed(odd, x.z), dot4I8Packed(even, x.y) + dot4I8Packed(odd, x.w));
}
const SHIFT = 0.0;
#else
fn eight(w: vec4<u32>, j: u32, x: vec4<u32>) -> vec2<i32> {
  let a = w[2u * j] ^ 0x80808080u;
  let b = w[2u * j + 1u] ^ 0x80808080u;
  return vec2<i32>(dot4I8Packed(a, x.x) + dot4I8Packed(b, x.z), dot4I8Packed(a, x.y) + dot4I8Packed(b, x.w));
}
const SHIFT = 128.0; // what the codes lost to become signed
#endif

// The products of 4 rows with a unit of x.
fn products(block: Block, unit: u32) -> vec4<f32> {
  let at = unit * PITCH;
  var low = vec4<i32>();
  var high = vec4<i32>();
#repeat EIGHTS
  let x$i = x_tile[at + $i];
  let a$i = eight(block.w[0], $i, x$i);
  let b$i = eight(block.w[1], $i, x$i);
  let c$i = eight(block.w[2], $i, x$i);
  let d$i = eight(block.w[3], $i, x$i);
  low += vec4<i32>(a$i.x, b$i.x, c$i.x, d$i.x);
  high += vec4<i32>(a$i.y, b$i.y, c$i.y, d$i.y);
#end
  let affine = affines_of(block);
  let scale = affine[0];
  let offset = affine[1] + SHIFT * scale;
  let x = bitcast<vec2<f32>>(x_tile[at + EIGHTS].xy); // scale, sum
  return scale * (x.x * vec4<f32>(256 * high + low)) + offset * x.y;
}
#endif
