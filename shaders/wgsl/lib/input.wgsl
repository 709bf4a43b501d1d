// The rows of x that a linear multiplies, inverse · x ⊙ g: `inverse` is that of the norm of x, from its own columns (NORM)
// or from sums of squares that an earlier launch left (SUM_SQUARES).
#if X_VECTORS
@group(0) @binding(3) var<storage, read> x_in: array<vec4<f32>>;
#else
@group(0) @binding(3) var<storage, read> x_in: array<f32>;
#endif
#if G
@group(0) @binding(5) var<storage, read> g_in: array<vec4<f32>>;
#endif
#if SUM_SQUARES
@group(0) @binding(8) var<storage, read> sum_squares: array<f32>;
#endif

// Columns c … c + 3 of x, before the norm; zero beyond the last.
fn x_at(row: u32, c: u32) -> vec4<f32> {
#if PARTIAL_SUMS
  return row_sum[c / 4u];
#else
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
#endif
}
fn g_at(c: u32) -> vec4<f32> {
#if G
  return g_in[c / 4u];
#else
  return vec4<f32>(1.0);
#endif
}
