import type { TensorShape } from '../src/weights/types.ts';
import {
  type AttentionDims,
  attentionBlock,
  BACKBONE,
  type Block,
  backboneLayer,
  type MlpDims,
  mamba2Block,
  mlpBlock,
  type Place,
} from './blocks.ts';
import { languageModel } from './blueprint.ts';
import { Config, declares } from './config.ts';
import { paddedVocabulary, readMha, readSsmConfig } from './state_spaces.ts';
import type { Architecture } from './types.ts';
import { WeightBinder } from './weights.ts';

/** Rene (cartesia-ai/edge): Mamba-2, GELU MLP and sliding-window attention blocks, no positional encoding. */
export const rene: Architecture = {
  name: 'rene',
  tensorNames: BACKBONE,
  matches: (config) => declares(config, 'ReneLMHeadModel', 'rene'),
  read(json, tensors: ReadonlyMap<string, TensorShape>) {
    const config = new Config('rene', json);
    config.only('rms_norm', true);
    const dModel = config.integer('d_model', 2048);
    const nLayer = config.integer('n_layer', 48);
    const vocabSize = paddedVocabulary(config, 50280, 16);
    const eps = 1e-5;
    const weights = new WeightBinder('rene', tensors);
    const mixer = mixers(config, dModel, nLayer);
    const blocks = Array.from({ length: nLayer }, (_, i) => mixer(i, backboneLayer(weights, i, dModel, eps)));
    return languageModel(
      {
        architecture: 'rene',
        dModel,
        vocabSize,
        eps,
        tied: config.flag('tie_word_embeddings', true),
        bosTokenId: config.tokenIds('bos_token_id', vocabSize)[0] ?? null,
        eosTokenIds: config.tokenIds('eos_token_id', vocabSize, 50279),
      },
      weights,
      blocks,
    );
  },
};

/** The block of each layer; sections of kinds that no layer has are not read. */
function mixers(config: Config, dModel: number, nLayer: number): (layer: number, place: Place) => Block {
  const attention = config.layers('attn_layer_idx', nLayer);
  const mlp = config.layers('mlp_layer_idx', nLayer);
  if ([...attention].some((layer) => mlp.has(layer)))
    throw config.invalid('mlp_layer_idx', 'without the layers of attn_layer_idx');
  const attentionDims = attention.size > 0 ? readAttention(config.section('attn_cfg'), dModel) : null;
  const mlpDims = mlp.size > 0 ? readMlp(config.section('mlp_cfg'), dModel) : null;
  const mamba2Dims =
    attention.size + mlp.size < nLayer ? readSsmConfig(config.section('ssm_cfg'), dModel) : null;
  return (layer, place) => {
    if (attention.has(layer)) return attentionBlock(place, attentionDims!);
    return mlp.has(layer) ? mlpBlock(place, mlpDims!) : mamba2Block(place, mamba2Dims!);
  };
}

/** Arguments and defaults of ReneMHA. */
function readAttention(attn: Config, dModel: number): AttentionDims {
  const dims = readMha(attn, dModel, 'sliding_window_length');
  return attn.has('sliding_window_length')
    ? { ...dims, window: attn.integer('sliding_window_length') }
    : dims;
}

/** Arguments and defaults of ReneMLP; `activation`, `glu` and `norm` are those of cartesia-mlx's FFN. */
function readMlp(mlp: Config, dModel: number): MlpDims {
  mlp.known('expand', 'bias', 'activation', 'glu', 'norm');
  mlp.only('activation', 'gelu', 'swish');
  const kind = mlp.text('activation', 'gelu') === 'swish' ? 'silu' : 'gelu';
  const glu = mlp.flag('glu', false);
  const norm = mlp.flag('norm', false);
  if (norm && !(glu && kind === 'silu')) throw mlp.unsupported('norm', 'only SwiGLU has one inside');
  return {
    d_inner: Math.round(mlp.positive('expand', 3) * dModel),
    kind,
    bias: mlp.flag('bias', true),
    gate: norm ? 'normed' : glu ? 'plain' : 'none',
  };
}
