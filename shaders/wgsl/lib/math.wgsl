fn silu(x: f32) -> f32 { return x / (1.0 + exp(-max(x, -80.0))); }

// log(1 + exp(x)), by log1p(e) = 2 atanh(e / (2 + e)) for e = exp(-|x|): WGSL's own log is coarse near 1.
fn softplus(x: f32) -> f32 {
  let e = exp(-min(abs(x), 80.0));
  let s = e / (2.0 + e);
  let q = s * s;
  let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0
    + q * (1.0 / 13.0 + q * (1.0 / 15.0 + q / 17.0)))))));
  return max(x, 0.0) + 2.0 * s * series;
}

// Abramowitz & Stegun 7.1.26: within 1.5e-7.
fn erf(x: f32) -> f32 {
  let a = min(abs(x), 9.0);
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - p * exp(-a * a));
}
