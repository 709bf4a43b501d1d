// A unit is a vec4<u32> of a row: UNIT columns, in one group. Integers become floats without conversions, which are
// slow: a code at bit s of the mantissa of 2^23 is 2^23 + q · 2^s, and the input that it meets is scaled by 2^-s.
#if QUANT4
const MAGIC = vec4<u32>(0x4B000000u);
const MASK = vec4<u32>(0xFu, 0xF0u, 0xF00u, 0xF000u);
const CENTER = vec4<f32>(8388608.0) + CENTER_CODE * vec4<f32>(1.0, 16.0, 256.0, 4096.0);
const SHRINK = vec4<f32>(1.0, 0.0625, 0.00390625, 0.000244140625);
fn codes(word: u32) -> vec4<f32> { return bitcast<vec4<f32>>((vec4<u32>(word) & MASK) | MAGIC) - CENTER; }
#endif
#if QUANT8
const MAGIC = vec4<u32>(0x4B000000u);
const MASK = vec4<u32>(0xFFu, 0xFF00u, 0xFFu, 0xFF00u);
const CENTER = vec4<f32>(8388608.0) + CENTER_CODE * vec4<f32>(1.0, 256.0, 1.0, 256.0);
const SHRINK = vec4<f32>(1.0, 0.00390625, 1.0, 0.00390625);
fn codes(word: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>((vec4<u32>(word, word, word >> 16u, word >> 16u) & MASK) | MAGIC) - CENTER;
}
#endif
#if F16_WEIGHTS
fn unpack_f16(low: u32, high: u32) -> vec4<f32> { return vec4<f32>(unpack2x16float(low), unpack2x16float(high)); }
#endif
