/** The kernels that every language of shaders has. */
export type KernelName =
  | 'embed'
  | 'matvec'
  | 'matmul'
  | 'to_f16'
  | 'matmul_f16'
  | 'matmul_matrix'
  | 'sum_parts'
  | 'conv1d'
  | 'ssd_scan'
  | 'mamba2_decode'
  | 'mamba2_project'
  | 'gate_norm'
  | 'activation'
  | 'rotary'
  | 'window_attention'
  | 'sample';
