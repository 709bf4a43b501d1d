// src/ops/rotary.ts, a thread a pair of columns. WGSL's own cosine is good for 2^-11: angles are reduced here.
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(1) var<storage, read_write> x_io: array<f32>;

// x − k π/2 of 0 ≤ x < 2^17: π/2 in parts of so few bits that k times the first two is exact.
fn reduced(x: f32, k: f32) -> f32 { return ((x - k * 1.5625) - k * 0.0081787109375) - k * 1.17615857396556e-4; }

@compute @workgroup_size(64)
fn rotary(@builtin(global_invocation_id) at: vec3<u32>) {
  let head = at.x / HALF;
  let i = at.x % HALF;
  if (head >= HEADS) { return; }
  let x = f32(batch.row[at.y].position) * INVERSE[i];
  let k = floor(x * 0.63661977 + 0.5);
  let r = reduced(x, k);
  let z = r * r;
  let c = 1.0 + z * (-0.5 + z * (4.16666667e-2 + z * (-1.38888889e-3 + z * (2.48015873e-5 - z * 2.75573192e-7))));
  let s = r * (1.0 + z * (-1.66666667e-1 + z * (8.33333333e-3 + z * (-1.98412698e-4 + z * 2.75573192e-6))));
  let quarter = u32(k) % 4u;
  let turned = select(vec2<f32>(c, s), vec2<f32>(-s, c), quarter % 2u == 1u);
  let by = select(turned, -turned, quarter >= 2u); // cos, sin
  let first = at.y * X_STRIDE + X_OFFSET + head * HEAD_DIM + i;
  let a = x_io[first];
  let b = x_io[first + HALF];
  x_io[first] = a * by.x - b * by.y;
  x_io[first + HALF] = b * by.x + a * by.y;
}
