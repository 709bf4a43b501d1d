import type { AttentionDims, Mamba2Dims } from './blocks.ts';
import type { Config } from './config.ts';

/** Mamba-2 dimensions of an `ssm_cfg`, whose keys are the arguments of `mamba_ssm.modules.mamba2.Mamba2`, its defaults theirs. */
export function readSsmConfig(ssm: Config, dModel: number): Mamba2Dims {
  ssm.known(
    'layer',
    'd_state',
    'd_conv',
    'conv_init',
    'expand',
    'headdim',
    'd_ssm',
    'ngroups',
    'A_init_range',
    'D_has_hdim',
    'rmsnorm',
    'norm_before_gate',
    'dt_min',
    'dt_max',
    'dt_init_floor',
    'dt_limit',
    'bias',
    'conv_bias',
    'chunk_size',
    'use_mem_eff_path',
  );
  ssm.only('layer', 'Mamba2');
  ssm.only('rmsnorm', true);
  const d_inner = Math.round(ssm.positive('expand', 2) * dModel);
  const headdim = ssm.divisor('headdim', d_inner, `d_inner ${d_inner} (64 if absent)`, 64);
  ssm.only('d_ssm', d_inner);
  const nheads = d_inner / headdim;
  return {
    d_inner,
    headdim,
    nheads,
    ngroups: ssm.divisor('ngroups', nheads, `the ${nheads} heads`, 1),
    d_state: ssm.integer('d_state', 128),
    d_conv: convKernel(ssm, 'd_conv'),
    mode: ssm.flag('norm_before_gate', false) ? 'norm_then_gate' : 'gate_then_norm',
    ...ssm.dtLimit('dt_limit'),
    hasHeadDimD: ssm.flag('D_has_hdim', false),
    bias: ssm.flag('bias', false),
    convBias: ssm.flag('conv_bias', true),
  };
}

/**
 * Attention of an `attn_cfg`, whose keys are the arguments of `mamba_ssm.modules.mha.MHA`, its defaults theirs, and
 * `more`, which the caller reads.
 */
export function readMha(attn: Config, dModel: number, ...more: string[]): AttentionDims {
  attn.known(
    'num_heads',
    'num_heads_kv',
    'head_dim',
    'qkv_proj_bias',
    'out_proj_bias',
    'softmax_scale',
    'causal',
    ...more,
  );
  attn.only('causal', true);
  const heads = attn.integer('num_heads');
  const kvHeads = attn.divisor('num_heads_kv', heads, `num_heads ${heads}`, heads);
  if (!attn.has('head_dim') && dModel % heads !== 0)
    throw attn.invalid('num_heads', `a divisor of d_model ${dModel}, there being no head_dim`);
  const headDim = attn.integer('head_dim', dModel / heads);
  return {
    heads,
    kvHeads,
    headDim,
    window: null,
    scale: attn.positive('softmax_scale', 1 / Math.sqrt(headDim)),
    qkvBias: attn.flag('qkv_proj_bias', true),
    outBias: attn.flag('out_proj_bias', true),
  };
}

/** Taps of the convolution, 4 if absent. */
export function convKernel(config: Config, key: string): number {
  const k = config.integer(key, 4);
  if (k > 8) throw config.unsupported(key, 'kernels have 1 to 8 taps');
  return k;
}

/** `vocab_size` rounded up to `pad_vocab_size_multiple`: the rows of the embedding. */
export function paddedVocabulary(config: Config, vocab: number | undefined, multiple: number): number {
  const pad = config.integer('pad_vocab_size_multiple', multiple);
  return Math.ceil(config.integer('vocab_size', vocab) / pad) * pad;
}
