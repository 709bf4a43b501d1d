// A row's request and result; src/backends/gpu/outputs.ts writes and reads them.
struct Output {
  logits: u32, // row of `logits`
  wants: u32, // 1: target, 2: sample
  target_id: u32,
  temperature: f32,
  top_k: u32,
  top_p: f32,
  min_p: f32,
  repetition: f32,
  frequency: f32,
  presence: f32,
  seed_lo: u32,
  seed_hi: u32,
  position: u32,
  n_recent: u32,
  n_bias: u32,
  n_top: u32,
  row: u32, // of the step
  oldest: u32, // of `recent`, once it is full
  ahead: u32, // steps done since the host described this one
  n_ends: u32,
  recent: array<u32, MAX_RECENT>,
  ends: array<u32, MAX_ENDS>, // ids after which its row goes no further
}
struct Result {
  id: u32,
  logprob: f32,
  target_logprob: f32,
  faulty: u32, // 1: a logit is NaN or infinite
  top_ids: array<u32, MAX_TOP>,
  top_logprobs: array<f32, MAX_TOP>,
}
