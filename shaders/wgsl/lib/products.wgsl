// Products of four rows with units of x, as floats, which lie in workgroup memory: read from there, their columns come
// without bank conflicts.
#if !PACKED
#if ALIGNED
const PARTS = UNIT / 4u;
const PITCH = PARTS + 1u; // vec4s from unit to unit of the tile
var<workgroup> x_tile: array<vec4<f32>, TILE_UNITS * PITCH>;

#if QUANT
fn dots(w: vec4<u32>, x: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(dot(codes(w.x), x), dot(codes(w.y), x), dot(codes(w.z), x), dot(codes(w.w), x));
}
#endif
// The products of 4 rows with a unit of the tile.
fn products(block: Block, unit: u32) -> vec4<f32> {
  let at = unit * PITCH;
  let a = block.w[0];
  let b = block.w[1];
  let c = block.w[2];
  let d = block.w[3];
#if QUANT4
  var sum = dots(vec4<u32>(a.x, b.x, c.x, d.x), x_tile[at]);
  sum += dots(vec4<u32>(a.x, b.x, c.x, d.x) >> vec4<u32>(16u), x_tile[at + 1u]);
  sum += dots(vec4<u32>(a.y, b.y, c.y, d.y), x_tile[at + 2u]);
  sum += dots(vec4<u32>(a.y, b.y, c.y, d.y) >> vec4<u32>(16u), x_tile[at + 3u]);
  sum += dots(vec4<u32>(a.z, b.z, c.z, d.z), x_tile[at + 4u]);
  sum += dots(vec4<u32>(a.z, b.z, c.z, d.z) >> vec4<u32>(16u), x_tile[at + 5u]);
  sum += dots(vec4<u32>(a.w, b.w, c.w, d.w), x_tile[at + 6u]);
  sum += dots(vec4<u32>(a.w, b.w, c.w, d.w) >> vec4<u32>(16u), x_tile[at + 7u]);
#endif
#if QUANT8
  var sum = dots(vec4<u32>(a.x, b.x, c.x, d.x), x_tile[at]);
  sum += dots(vec4<u32>(a.y, b.y, c.y, d.y), x_tile[at + 1u]);
  sum += dots(vec4<u32>(a.z, b.z, c.z, d.z), x_tile[at + 2u]);
  sum += dots(vec4<u32>(a.w, b.w, c.w, d.w), x_tile[at + 3u]);
#endif
#if QUANT
  let affine = affines_of(block);
  sum *= affine[0];
#if OFFSETS
  var inputs = 0.0;
  for (var i = 0u; i < PARTS; i++) { inputs += dot(x_tile[at + i], 1.0 / SHRINK); }
  sum += inputs * affine[1];
#endif
  return sum;
#endif
#if F16_WEIGHTS
  let x = x_tile[at];
  let y = x_tile[at + 1u];
  return vec4<f32>(
    dot(unpack_f16(a.x, a.y), x) + dot(unpack_f16(a.z, a.w), y),
    dot(unpack_f16(b.x, b.y), x) + dot(unpack_f16(b.z, b.w), y),
    dot(unpack_f16(c.x, c.y), x) + dot(unpack_f16(c.z, c.w), y),
    dot(unpack_f16(d.x, d.y), x) + dot(unpack_f16(d.z, d.w), y));
#endif
#if F32_WEIGHTS
  let x = x_tile[at];
  return vec4<f32>(dot(bitcast<vec4<f32>>(a), x), dot(bitcast<vec4<f32>>(b), x), dot(bitcast<vec4<f32>>(c), x),
    dot(bitcast<vec4<f32>>(d), x));
#endif
}
#endif
#endif
