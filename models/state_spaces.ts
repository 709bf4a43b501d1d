import type { Mamba2Dims } from './blocks.ts';
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
  const headdim = ssm.integer('headdim', 64);
  if (d_inner % headdim !== 0) throw ssm.invalid('headdim', `a divisor of d_inner ${d_inner} (64 if absent)`);
  ssm.only('d_ssm', d_inner);
  const nheads = d_inner / headdim;
  const ngroups = ssm.integer('ngroups', 1);
  if (nheads % ngroups !== 0) throw ssm.invalid('ngroups', `a divisor of the ${nheads} heads`);
  return {
    d_inner,
    headdim,
    nheads,
    ngroups,
    d_state: ssm.integer('d_state', 128),
    d_conv: convKernel(ssm, 'd_conv'),
    mode: ssm.flag('norm_before_gate', false) ? 'norm_then_gate' : 'gate_then_norm',
    ...ssm.dtLimit('dt_limit'),
    hasHeadDimD: ssm.flag('D_has_hdim', false),
    bias: ssm.flag('bias', false),
    convBias: ssm.flag('conv_bias', true),
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
