// Shared by the kernels of all linears: y = residual + scale · (W · (inverse · x ⊙ g) + b).
@group(0) @binding(4) var<storage, read_write> y_out: array<f32>;
#if BIAS
@group(0) @binding(6) var<storage, read> b_in: array<f32>;
#endif
#if RESIDUAL
@group(0) @binding(7) var<storage, read> residual_in: array<f32>;
#endif

fn put(row: u32, out: u32, sum: f32) {
#if BIAS
  let value = SCALE * (sum + b_in[FIRST + out]);
#else
  let value = SCALE * sum;
#endif
  let to = row * Y_STRIDE + Y_OFFSET + FIRST + out;
#if RESIDUAL
  y_out[to] = residual_in[row * R_STRIDE + R_OFFSET + FIRST + out] + value;
#else
  y_out[to] = value;
#endif
}
