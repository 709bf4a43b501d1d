import type { TensorShape } from '../src/weights/types.ts';
import {
  type AttentionDims,
  attentionBlock,
  type Block,
  type Mamba2Dims,
  type MlpDims,
  mamba2Block,
  mlpBlock,
  type Place,
} from './blocks.ts';
import { languageModel } from './blueprint.ts';
import { Config } from './config.ts';
import { convKernel } from './state_spaces.ts';
import type { Architecture } from './types.ts';
import { WeightBinder } from './weights.ts';

/**
 * Falcon-H1 (`FalconH1ForCausalLM` of transformers): in every layer Mamba-2 and rotary attention side by side on the
 * same norm, then a gated MLP; multipliers (µP) on the way into and out of each.
 */
export const falconH1: Architecture = {
  name: 'falcon-h1',
  matches({ architectures, model_type }) {
    if (Array.isArray(architectures) && architectures.includes('FalconH1ForCausalLM')) return true;
    return model_type === 'falcon_h1';
  },
  read(json, tensors: ReadonlyMap<string, TensorShape>) {
    const config = new Config('falcon-h1', json);
    config.only('hidden_act', 'silu');
    const dModel = config.integer('hidden_size');
    const vocabSize = config.integer('vocab_size');
    const nLayer = config.integer('num_hidden_layers');
    const eps = config.positive('rms_norm_eps', 1e-5);
    const weights = new WeightBinder('falcon-h1', tensors);
    const mamba2Dims = readMamba2(config, dModel);
    const attentionDims = readAttention(config, dModel);
    const mlp = readMlp(config);
    const block = (i: number): Block => {
      const at = `model.layers.${i}`;
      const place = (name: string, norm: string, mixer: string, scale: number): Place => {
        return { weights, name, norm: `${at}.${norm}.weight`, mixer: `${at}.${mixer}`, dModel, eps, scale };
      };
      const ssmOut = config.positive('ssm_out_multiplier', 1);
      const attentionOut = config.positive('attention_out_multiplier', 1);
      // Attention still reads what Mamba-2 has read.
      const mamba2 = mamba2Block(
        {
          ...place(`layers.${i}`, 'input_layernorm', 'mamba', ssmOut),
          sum: { of: 'residual', to: 'half' },
        },
        mamba2Dims,
      );
      const attention = attentionBlock(
        {
          ...place(`layers.${i}.attention`, 'input_layernorm', 'self_attn', attentionOut),
          sum: { of: 'half', to: 'residual' },
        },
        attentionDims,
      );
      const feedForward = mlpBlock(
        place(`layers.${i}.mlp`, 'pre_ff_layernorm', 'feed_forward', mlp.out),
        mlp.dims,
      );
      return (draft) => {
        mamba2(draft);
        attention(draft);
        feedForward(draft);
      };
    };
    return languageModel(
      {
        architecture: 'falcon-h1',
        dModel,
        vocabSize,
        eps,
        tied: config.flag('tie_word_embeddings', false),
        bosTokenId: config.tokenIds('bos_token_id', vocabSize)[0] ?? null,
        eosTokenIds: config.tokenIds('eos_token_id', vocabSize),
        tensors: {
          embedding: 'model.embed_tokens.weight',
          norm: 'model.final_layernorm.weight',
          layers: 'model.layers.',
        },
        embeddingScale: config.positive('embedding_multiplier', 1),
        logitsScale: config.positive('lm_head_multiplier', 1),
      },
      weights,
      Array.from({ length: nLayer }, (_, i) => block(i)),
    );
  },
};

/** `mamba_rms_norm` false: the gate alone. */
function readMamba2(config: Config, dModel: number): Mamba2Dims {
  config.only('mamba_proj_bias', false);
  const d_inner = config.integer('mamba_d_ssm', Math.floor(config.positive('mamba_expand', 2) * dModel));
  const nheads = config.integer('mamba_n_heads', 128);
  const headdim = config.isText('mamba_d_head', 'auto')
    ? d_inner / nheads
    : config.integer('mamba_d_head', d_inner / nheads);
  if (nheads * headdim !== d_inner)
    throw config.invalid('mamba_n_heads', `${d_inner / headdim}, mamba_d_ssm / mamba_d_head`);
  const ngroups = config.integer('mamba_n_groups', 1);
  if (nheads % ngroups !== 0) throw config.invalid('mamba_n_groups', `a divisor of the ${nheads} heads`);
  const first = config.flag('mamba_norm_before_gate', true) ? 'norm_then_gate' : 'gate_then_norm';
  const into = config.positive('ssm_in_multiplier', 1);
  const [z, x, B, C, dt] = config.multipliers('ssm_multipliers', 5).map((by) => into * by);
  return {
    d_inner,
    headdim,
    nheads,
    ngroups,
    d_state: config.integer('mamba_d_state', 256),
    d_conv: convKernel(config, 'mamba_d_conv'),
    mode: config.flag('mamba_rms_norm', false) ? first : 'gate',
    ...config.dtLimit('time_step_limit'),
    hasHeadDimD: false,
    bias: false,
    convBias: config.flag('mamba_conv_bias', true),
    multipliers: [z!, x!, B!, C!, dt!],
  };
}

function readAttention(config: Config, dModel: number): AttentionDims {
  const heads = config.integer('num_attention_heads', 32);
  const kvHeads = config.integer('num_key_value_heads', heads);
  if (heads % kvHeads !== 0) throw config.invalid('num_key_value_heads', `a divisor of the ${heads} heads`);
  const headDim = config.integer('head_dim', Math.floor(dModel / heads));
  const bias = config.flag('attention_bias', false);
  const into = config.positive('attention_in_multiplier', 1);
  if (bias && into !== 1)
    throw config.unsupported('attention_in_multiplier', 'with attention_bias only 1 is');
  const rope = config.section('rope_parameters'); // transformers 5; before, fields of their own
  rope.only('rope_type', 'default');
  if (config.has('rope_scaling')) throw config.unsupported('rope_scaling', 'only null is');
  return {
    heads,
    kvHeads,
    headDim,
    window: null,
    scale: 1 / Math.sqrt(headDim),
    qkvBias: bias,
    outBias: bias,
    separate: true,
    multipliers: [into, into * config.positive('key_multiplier', 1), into],
    rotary: { dims: headDim, theta: rope.positive('rope_theta', config.positive('rope_theta', 10_000)) },
  };
}

function readMlp(config: Config): { dims: MlpDims; out: number } {
  const [activated, out] = config.multipliers('mlp_multipliers', 2);
  return {
    dims: {
      d_inner: config.integer('intermediate_size'),
      kind: 'silu',
      bias: config.flag('mlp_bias', false),
      gate: 'plain',
      names: ['gate_proj', 'up_proj', 'down_proj'],
      scale: activated!,
    },
    out: out!,
  };
}
