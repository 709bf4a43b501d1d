import type { OpName } from '../../ops/index.ts';

/** The kernels that every shading language has: one an op, but for linears, and what several ops or many rows go by. */
export type KernelName =
  | Exclude<OpName, 'norm_linear' | 'linear_residual' | 'logits'>
  | 'matvec'
  | 'matmul'
  | 'to_f16'
  | 'matmul_f16'
  | 'matmul_matrix'
  | 'sum_parts'
  | 'mamba2_decode'
  | 'mamba2_project';
