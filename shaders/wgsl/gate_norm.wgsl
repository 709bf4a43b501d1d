#include math reduce
// One workgroup a row and group of the norm.
@group(0) @binding(0) var<storage, read> x_in: array<f32>;
@group(0) @binding(1) var<storage, read> z_in: array<f32>;
#if NORM
@group(0) @binding(2) var<storage, read> v: array<f32>;
#endif
@group(0) @binding(3) var<storage, read_write> y_out: array<f32>;

@compute @workgroup_size(THREADS)
fn gate_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let x_row = group.y * X_STRIDE + X_OFFSET + group.x * WIDTH;
  let z_row = group.y * Z_STRIDE + Z_OFFSET + group.x * WIDTH;
  let y_row = group.y * Y_STRIDE + Y_OFFSET + group.x * WIDTH;
  var inverse = 1.0;
#if NORM
  var squares = 0.0;
  for (var i = lane; i < WIDTH; i += THREADS) {
#if GATE_FIRST
    let value = x_in[x_row + i] * silu(z_in[z_row + i]);
#else
    let value = x_in[x_row + i];
#endif
    squares += value * value;
  }
  inverse = 1.0 / sqrt(sum_of(squares, lane) / f32(WIDTH) + EPS);
#endif
  for (var i = lane; i < WIDTH; i += THREADS) {
    var value = x_in[x_row + i] * silu(z_in[z_row + i]) * inverse;
#if NORM
    value *= v[V_G + group.x * WIDTH + i];
#endif
    y_out[y_row + i] = value;
  }
}
