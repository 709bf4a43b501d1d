// Written by `npm run ops`.
// Every op of src/ops, in the numbering of the encoded program.
#define EACH_OP(X) \
  X(0, embed) \
  X(1, norm_linear) \
  X(2, conv1d) \
  X(3, ssd_scan) \
  X(4, gate_norm) \
  X(5, linear_residual) \
  X(6, activation) \
  X(7, rotary) \
  X(8, window_attention) \
  X(9, logits) \
  X(10, sample)
