import { findArchitecture } from '../models/index.ts';
import type { Program } from '../src/ops/program.ts';

export const VOCAB = 50_288;

/** The program of state-spaces/mamba2-*: the 130m has a `dModel` of 768 and 24 layers. */
export function mamba2Program(dModel: number, nLayer: number, chunk: number): Program {
  const config = {
    d_model: dModel,
    n_layer: nLayer,
    vocab_size: VOCAB,
    ssm_cfg: { layer: 'Mamba2' },
    rms_norm: true,
    residual_in_fp32: true,
    fused_add_norm: true,
    pad_vocab_size_multiple: 16,
    tie_embeddings: true,
  };
  const inner = 2 * dModel;
  const heads = inner / 64;
  const channels = inner + 256;
  const tensors = new Map<string, { dtype: string; shape: number[] }>();
  const add = (name: string, ...shape: number[]) => tensors.set(name, { dtype: 'F16', shape });
  add('backbone.embedding.weight', VOCAB, dModel);
  add('backbone.norm_f.weight', dModel);
  for (let i = 0; i < nLayer; i++) {
    const layer = `backbone.layers.${i}`;
    add(`${layer}.norm.weight`, dModel);
    add(`${layer}.mixer.in_proj.weight`, inner + channels + heads, dModel);
    add(`${layer}.mixer.conv1d.weight`, channels, 1, 4);
    add(`${layer}.mixer.conv1d.bias`, channels);
    for (const name of ['dt_bias', 'A_log', 'D']) add(`${layer}.mixer.${name}`, heads);
    add(`${layer}.mixer.norm.weight`, inner);
    add(`${layer}.mixer.out_proj.weight`, dModel, inner);
  }
  return findArchitecture(config).read(config, tensors).program({ chunk, maxContext: 1 });
}
