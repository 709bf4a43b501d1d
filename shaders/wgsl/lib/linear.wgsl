// What the kernels of all linears share: y = residual + scale · (W · (inverse · x ⊙ g) + b). `inverse` is that of
// the norm of x: from its own columns (NORM), or from sums of squares that an earlier launch left (STATS).
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(1) var<storage, read> words: array<vec4<u32>>;
#if QUANT
@group(0) @binding(2) var<storage, read> numbers: array<u32>;
#endif
#if X_VECTORS
@group(0) @binding(3) var<storage, read> x_in: array<vec4<f32>>;
#else
@group(0) @binding(3) var<storage, read> x_in: array<f32>;
#endif
@group(0) @binding(4) var<storage, read_write> y_out: array<f32>;
#if G
@group(0) @binding(5) var<storage, read> g_in: array<vec4<f32>>;
#endif
#if BIAS
@group(0) @binding(6) var<storage, read> b_in: array<f32>;
#endif
#if RESIDUAL
@group(0) @binding(7) var<storage, read> residual_in: array<f32>;
#endif
#if STATS
@group(0) @binding(8) var<storage, read> stats: array<f32>;
#endif

fn x_row(row: u32) -> u32 {
#if LOGITS
  return batch.logit_row[row];
#else
  return row;
#endif
}

// Columns c … c + 3 of x, before the norm; zero beyond the last.
fn x_at(row: u32, c: u32) -> vec4<f32> {
#if X_VECTORS
  return x_in[(row * X_STRIDE + X_OFFSET + c) / 4u];
#else
  let at = row * X_STRIDE + X_OFFSET + c;
  var x = vec4<f32>();
  for (var i = 0u; i < 4u; i++) {
    if (c + i < COLS) { x[i] = x_in[at + i]; }
  }
  return x;
#endif
}
fn g_at(c: u32) -> vec4<f32> {
#if G
  return g_in[c / 4u];
#else
  return vec4<f32>(1.0);
#endif
}

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
