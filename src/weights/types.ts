/** What a checkpoint's file says of a tensor; enough to bind it without reading it. */
export interface TensorShape {
  dtype: string; // 'F32', 'F16', 'BF16', … or 'Q4_0' and the like; quantized tensors carry their logical shape
  shape: readonly number[];
}

/** Where a program's weight comes from. Shapes may differ by dimensions of 1 (conv1d's [c, 1, k]). */
export interface WeightSource {
  tensor: string; // name in the checkpoint
  transform?: 'neg_exp'; // A = −exp(A_log)
}
