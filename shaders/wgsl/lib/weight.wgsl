// One value of a linear weight, wherever its columns end. The layout is that of src/backends/webgpu/layout/linear.ts.
fn weight_at(row: u32, c: u32) -> f32 {
  let word = words[row * ROW_VECTORS + c / WORD_COLS / 4u][(c / WORD_COLS) % 4u];
#if F32
  return bitcast<f32>(word);
#endif
#if F16
  return unpack2x16float(word)[c % 2u];
#endif
#if QUANT
  let q = f32(extractBits(word, (c % WORD_COLS) * BITS, BITS));
  let number = number_at(row * GROUPS + c / GROUP);
  return number.x * q + number.y;
#endif
}

#if QUANT
// Scale and offset of a group.
fn number_at(group: u32) -> vec2<f32> {
#if HAS_BIAS
#if F32_SCALES
  return bitcast<vec2<f32>>(vec2<u32>(numbers[2u * group], numbers[2u * group + 1u]));
#else
  return unpack2x16float(numbers[group]);
#endif
#else
#if F32_SCALES
  let scale = bitcast<f32>(numbers[group]);
#else
  let scale = unpack2x16float(numbers[group / 2u])[group % 2u];
#endif
  return vec2<f32>(scale, -MIDDLE * scale);
#endif
}
#endif
