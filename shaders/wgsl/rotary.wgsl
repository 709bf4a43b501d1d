#include batch
// src/ops/rotary.ts, a thread a pair of columns. WGSL's own cosine is good for 2^-11: angles are reduced here, in
// integers, because a compiler may reorder sums of floats. Good to 2^-32 of a turn for every angle below 2^32.
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(1) var<storage, read_write> x_io: array<f32>;

// [low, high] of a · b
fn product(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let one = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let two = (a & 0xffffu) * (b >> 16u) + (one & 0xffffu);
  return vec2<u32>((two << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (one >> 16u) + (two >> 16u));
}

// x / 2π without its whole turns, in 2^-32 of a turn: the mantissa of x times 64 bits of 1 / 2π, shifted by its exponent.
fn turn(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let mantissa = (bits & 0x7fffffu) | 0x800000u; // x is mantissa · 2^(exponent − 150)
  let low = product(mantissa, 0x9391054au);
  let high = product(mantissa, 0x28be60dbu);
  let middle = low.y + high.x;
  var words = array<u32, 5>(low.x, middle, high.y + select(0u, 1u, middle < low.y), 0u, 0u);
  let shift = 182u - (bits >> 23u); // 64 + 150 − exponent − 32
  let word = min(shift / 32u, 3u);
  return (words[word] >> (shift % 32u)) | ((words[word + 1u] << (31u - shift % 32u)) << 1u);
}

@compute @workgroup_size(64)
fn rotary(@builtin(global_invocation_id) at: vec3<u32>) {
  let head = at.x / HALF;
  let i = at.x % HALF;
  if (head >= HEADS) { return; }
  let turned = turn(f32(batch.row[at.y].position) * INVERSE[i]);
  let quarter = (turned + 0x20000000u) >> 30u; // the nearest; 4 is 0 again
  let r = f32(bitcast<i32>(turned - (quarter << 30u))) * 1.46291808e-9; // 2π / 2^32: −π/4 to π/4
  let z = r * r;
  let c = 1.0 + z * (-0.5 + z * (4.16666667e-2 + z * (-1.38888889e-3 + z * (2.48015873e-5 - z * 2.75573192e-7))));
  let s = r * (1.0 + z * (-1.66666667e-1 + z * (8.33333333e-3 + z * (-1.98412698e-4 + z * 2.75573192e-6))));
  let even = select(vec2<f32>(c, s), vec2<f32>(-s, c), quarter % 2u == 1u);
  let by = select(even, -even, quarter >= 2u); // cos, sin
  let first = at.y * X_STRIDE + X_OFFSET + head * HEAD_DIM + i;
  let a = x_io[first];
  let b = x_io[first + HALF];
  x_io[first] = a * by.x - b * by.y;
  x_io[first + HALF] = b * by.x + a * by.y;
}
