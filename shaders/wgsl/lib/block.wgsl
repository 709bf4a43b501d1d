// Four rows of a linear weight, as kernels of few rows of x stream them.
fn weight_row(out: u32) -> u32 { return min(out, ROWS - 1u); }

#if ALIGNED
const UNITS = COLS / UNIT;

// A unit of each of 4 rows, and the numbers of its group.
struct Block {
  w: array<vec4<u32>, 4>,
#if QUANT
  group: array<u32, 4>,
  bits: array<vec2<u32>, 4>, // of the group's numbers
#endif
}
fn load_block(first: u32, unit: u32) -> Block {
  var block: Block;
  for (var r = 0u; r < 4u; r++) { block.w[r] = words[weight_row(first + r) * ROW_VECTORS + unit]; }
#if QUANT
  for (var r = 0u; r < 4u; r++) {
    block.group[r] = weight_row(first + r) * GROUPS + unit * UNIT / GROUP;
    block.bits[r] = bits_at(block.group[r]);
  }
#endif
  return block;
}
#if QUANT
fn is_zero(block: Block) -> bool {
  let w = block.w[0] | block.w[1] | block.w[2] | block.w[3];
  let bits = block.bits[0] | block.bits[1] | block.bits[2] | block.bits[3];
  return (w.x | w.y | w.z | w.w | bits.x | bits.y) == 0u;
}
// Scales and offsets of the four rows.
fn affines_of(block: Block) -> array<vec4<f32>, 2> {
  let a = affine_of(block.bits[0], block.group[0]);
  let b = affine_of(block.bits[1], block.group[1]);
  let c = affine_of(block.bits[2], block.group[2]);
  let d = affine_of(block.bits[3], block.group[3]);
  return array<vec4<f32>, 2>(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
}
#endif
#endif
