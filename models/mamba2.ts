import type { JsonObject } from '../src/types.ts';
import type { TensorShape } from '../src/weights/types.ts';
import {
  type AttentionDims,
  attentionBlock,
  BACKBONE,
  type Block,
  backboneLayer,
  inTurn,
  type Mamba2Dims,
  mamba2Block,
  mlpBlock,
} from './blocks.ts';
import { languageModel } from './blueprint.ts';
import { Config, declares } from './config.ts';
import { convKernel, paddedVocabulary, readMha, readSsmConfig } from './state_spaces.ts';
import type { Architecture } from './types.ts';
import { WeightBinder } from './weights.ts';

/** A Mamba-2 config, whichever of its two spellings it had. */
interface Facts {
  dModel: number;
  nLayer: number;
  vocabSize: number;
  eps: number;
  tied: boolean | undefined;
  dims: Mamba2Dims;
  attention?: { layers: ReadonlySet<number>; dims: AttentionDims };
  dIntermediate?: number; // of the MLP after each mixer, if there is one
  bos: number[];
  eos: number[];
}

/**
 * Mamba-2 (arXiv 2405.21060): as `Mamba2ForCausalLM` of transformers, and as published by state-spaces; of these also
 * hybrids with attention layers and MLPs (mamba2attn).
 */
export const mamba2: Architecture = {
  name: 'mamba2',
  tensorNames: BACKBONE,
  matches(config) {
    const { model_type, ssm_cfg } = config;
    if (declares(config, 'Mamba2ForCausalLM', 'mamba2')) return true;
    return model_type === undefined && layerOf(ssm_cfg) === 'Mamba2';
  },
  read(json, tensors: ReadonlyMap<string, TensorShape>) {
    const config = new Config('mamba2', json);
    const published = config.has('d_model') && !config.has('hidden_size');
    const facts = published ? readStateSpaces(config) : readTransformers(config);
    const { dModel, vocabSize, eps, tied } = facts;
    const weights = new WeightBinder('mamba2', tensors);
    const blocks = Array.from({ length: facts.nLayer }, (_, i) => blockOf(facts, weights, i));
    return languageModel(
      {
        architecture: 'mamba2',
        dModel,
        vocabSize,
        eps,
        tied,
        bosTokenId: facts.bos[0] ?? null,
        eosTokenIds: facts.eos,
      },
      weights,
      blocks,
    );
  },
};

function blockOf(
  { dModel, eps, dims, attention, dIntermediate }: Facts,
  weights: WeightBinder,
  i: number,
): Block {
  const place = backboneLayer(weights, i, dModel, eps);
  const mixer = attention?.layers.has(i) ? attentionBlock(place, attention.dims) : mamba2Block(place, dims);
  if (!dIntermediate) return mixer;
  const at = `backbone.layers.${i}`;
  const mlp = mlpBlock(
    { ...place, name: `${place.name}.mlp`, norm: `${at}.norm2.weight`, mixer: `${at}.mlp` },
    {
      d_inner: 128 * Math.ceil(dIntermediate / 128), // GatedMLP's multiple_of
      kind: 'silu',
      bias: false,
      gate: 'merged_last',
      names: ['fc1', '', 'fc2'],
    },
  );
  return inTurn(mixer, mlp);
}

function layerOf(ssm_cfg: JsonObject[string] | undefined): unknown {
  return ssm_cfg && typeof ssm_cfg === 'object' && !Array.isArray(ssm_cfg) ? ssm_cfg.layer : undefined;
}

/**
 * Names and defaults of transformers' Mamba2Config. Its gated norm always gates first, whatever a
 * `norm_before_gate` in the config says.
 */
function readTransformers(config: Config): Facts {
  config.only('hidden_act', 'silu', 'swish');
  config.only('rms_norm', true);
  const dModel = config.integer('hidden_size', 4096);
  const d_inner = Math.floor(config.positive('expand', 2) * dModel);
  const nheads = config.integer('num_heads', 128);
  const headdim = config.integer('head_dim', 64);
  if (nheads * headdim !== d_inner)
    throw config.invalid(
      'num_heads',
      `${d_inner / headdim}, expand · hidden_size / head_dim (128 if absent)`,
    );
  const ngroups = config.divisor('n_groups', nheads, `the ${nheads} heads (8 if absent)`, 8);
  const vocabSize = config.integer('vocab_size', 32768);
  return {
    dModel,
    nLayer: config.integer('num_hidden_layers', 64),
    vocabSize,
    eps: config.positive('layer_norm_epsilon', 1e-5),
    tied: config.has('tie_word_embeddings') ? config.flag('tie_word_embeddings', false) : undefined,
    dims: {
      d_inner,
      headdim,
      nheads,
      ngroups,
      d_state: config.integer('state_size', 128),
      d_conv: convKernel(config, 'conv_kernel'),
      mode: 'gate_then_norm',
      ...config.dtLimit('time_step_limit'),
      hasHeadDimD: false,
      bias: config.flag('use_bias', false),
      convBias: config.flag('use_conv_bias', true),
    },
    bos: config.tokenIds('bos_token_id', vocabSize, 0),
    eos: config.tokenIds('eos_token_id', vocabSize, 2),
  };
}

/** Names and defaults of state-spaces' MambaConfig. */
function readStateSpaces(config: Config): Facts {
  config.only('rms_norm', true);
  const dModel = config.integer('d_model');
  const nLayer = config.integer('n_layer', 64);
  const layers = config.layers('attn_layer_idx', nLayer);
  const vocabSize = paddedVocabulary(config, 50277, 8);
  return {
    dModel,
    nLayer,
    vocabSize,
    eps: 1e-5,
    tied: config.flag('tie_embeddings', true),
    ...(layers.size > 0 && {
      attention: { layers, dims: readAttention(config.section('attn_cfg'), dModel) },
    }),
    dIntermediate: config.count('d_intermediate'),
    dims: readSsmConfig(config.section('ssm_cfg'), dModel),
    bos: config.tokenIds('bos_token_id', vocabSize),
    eos: config.tokenIds('eos_token_id', vocabSize),
  };
}

/** Arguments and defaults of MHA, with what hybrids of state-spaces have of it. */
function readAttention(attn: Config, dModel: number): AttentionDims {
  const dims = readMha(attn, dModel, 'd_conv', 'rotary_emb_dim', 'rotary_emb_base');
  const rotaryDims = attn.count('rotary_emb_dim');
  return {
    ...dims,
    ...(rotaryDims > 0 && {
      rotary: { dims: rotaryDims, theta: attn.positive('rotary_emb_base', 10_000) },
    }),
    ...(attn.count('d_conv') > 0 && { conv: convKernel(attn, 'd_conv') }),
  };
}
