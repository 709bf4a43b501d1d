// The step size of a head, from its projection and bias.
fn dt_of(raw: f32) -> f32 {
#if DT_LIMIT
  return clamp(softplus(raw), DT_MIN, DT_MAX);
#else
  return max(softplus(raw), DT_MIN);
#endif
}
