import type { Mamba2Dims, Place } from './blocks.ts';
import type { Config } from './config.ts';
import type { TensorNames } from './names.ts';
import { convKernel } from './state_spaces.ts';
import type { WeightBinder } from './weights.ts';

/** The names of transformers' hybrids. */
export const MODEL: TensorNames = { root: 'model.', embedding: ['embed_tokens.weight'] };

/** Where they have the parts of layer `i`; `scale` is of what a part adds to the residual. */
export function modelLayer(weights: WeightBinder, i: number, dModel: number, eps: number) {
  const at = `model.layers.${i}`;
  return (part: '' | `.${string}`, norm: string, mixer: string, scale: number): Place => ({
    weights,
    name: `layers.${i}${part}`,
    norm: `${at}.${norm}.weight`,
    mixer: `${at}.${mixer}`,
    dModel,
    eps,
    scale,
  });
}

/** The `mamba_*` fields of such a hybrid's config, their defaults BambaConfig's; `inner` says what `d_inner` is. */
export function readMambaFields(config: Config, d_inner: number, inner: string): Omit<Mamba2Dims, 'mode'> {
  const nheads = config.integer('mamba_n_heads', 128);
  const headdim = config.isText('mamba_d_head', 'auto')
    ? d_inner / nheads
    : config.integer('mamba_d_head', d_inner / nheads);
  if (nheads * headdim !== d_inner)
    throw config.invalid('mamba_n_heads', `${d_inner / headdim}, ${inner} / mamba_d_head`);
  return {
    d_inner,
    headdim,
    nheads,
    ngroups: config.divisor('mamba_n_groups', nheads, `the ${nheads} heads`, 1),
    d_state: config.integer('mamba_d_state', 256),
    d_conv: convKernel(config, 'mamba_d_conv'),
    ...config.dtLimit('time_step_limit'),
    hasHeadDimD: false,
    bias: config.flag('mamba_proj_bias', false),
    convBias: config.flag('mamba_conv_bias', true),
  };
}
