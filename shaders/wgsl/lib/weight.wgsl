// A linear weight. The layout is that of src/backends/webgpu/linear.ts.
@group(0) @binding(1) var<storage, read> words: array<vec4<u32>>;
#if QUANT
@group(0) @binding(2) var<storage, read> scales: array<u32>;
#endif

// One value, wherever columns end.
fn weight_at(row: u32, c: u32) -> f32 {
  let word = words[row * ROW_VECTORS + c / WORD_COLS / 4u][(c / WORD_COLS) % 4u];
#if F32_WEIGHTS
  return bitcast<f32>(word);
#endif
#if F16_WEIGHTS
  return unpack2x16float(word)[c % 2u];
#endif
#if QUANT
  let q = f32(extractBits(word, (c % WORD_COLS) * BITS, BITS));
  let affine = affine_at(row * GROUPS + c / GROUP);
  return affine.x * q + affine.y;
#endif
}

#if QUANT
// Scale and offset of a group.
fn affine_at(group: u32) -> vec2<f32> { return affine_of(bits_at(group), group); }

// Holds loaded bits. Loading them and converting them to numbers are two steps: the second waits for the first.
fn bits_at(group: u32) -> vec2<u32> {
#if OFFSETS
#if F32_SCALES
  return vec2<u32>(scales[2u * group], scales[2u * group + 1u]);
#else
  return vec2<u32>(scales[group], 0u);
#endif
#else
#if F32_SCALES
  return vec2<u32>(scales[group], 0u);
#else
  return vec2<u32>(scales[group / 2u], 0u);
#endif
#endif
}
fn affine_of(bits: vec2<u32>, group: u32) -> vec2<f32> {
#if OFFSETS
#if F32_SCALES
  return bitcast<vec2<f32>>(bits);
#else
  return unpack2x16float(bits.x);
#endif
#else
#if F32_SCALES
  let scale = bitcast<f32>(bits.x);
#else
  let scale = unpack2x16float(bits.x)[group % 2u];
#endif
  return vec2<f32>(scale, -MIDDLE * scale);
#endif
}
#endif
