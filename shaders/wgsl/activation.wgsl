#include math
@group(0) @binding(0) var<storage, read> x_in: array<f32>;
#if GATED
@group(0) @binding(1) var<storage, read> gate_in: array<f32>;
#endif
@group(0) @binding(2) var<storage, read_write> y_out: array<f32>;

fn act(x: f32) -> f32 {
#if GELU
  return 0.5 * x * (1.0 + erf(x * 0.70710678));
#endif
#if SILU
  return silu(x);
#endif
#if RELU2
  return max(x, 0.0) * max(x, 0.0);
#endif
}

@compute @workgroup_size(64)
fn activation(@builtin(global_invocation_id) at: vec3<u32>) {
  if (at.x >= WIDTH) { return; }
  let x = x_in[at.y * X_STRIDE + X_OFFSET + at.x];
#if GATED
  let y = act(gate_in[at.y * GATE_STRIDE + GATE_OFFSET + at.x]) * x;
#else
  let y = act(x);
#endif
  y_out[at.y * Y_STRIDE + Y_OFFSET + at.x] = y;
}
