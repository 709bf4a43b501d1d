import type { TensorShape } from '../src/weights/types.ts';
import { attentionBlock, type Block, type Mamba2Dims, mamba2Block, mlpBlock, type Place } from './blocks.ts';
import { languageModel } from './blueprint.ts';
import { Config } from './config.ts';
import { convKernel } from './state_spaces.ts';
import type { Architecture } from './types.ts';
import { WeightBinder } from './weights.ts';

const MAMBA = ['mamba', 'linear_attention']; // transformers 4 and 5
const ATTENTION = ['attention', 'full_attention'];

/**
 * Granite 4.0 H without experts (`GraniteMoeHybridForCausalLM` of transformers): in every layer Mamba-2 or attention
 * without positional encoding, then a gated MLP; what either adds is scaled, as are embeddings and logits.
 */
export const granite: Architecture = {
  name: 'granite-hybrid',
  matches({ architectures, model_type }) {
    if (Array.isArray(architectures) && architectures.includes('GraniteMoeHybridForCausalLM')) return true;
    return model_type === 'granitemoehybrid';
  },
  read(json, tensors: ReadonlyMap<string, TensorShape>) {
    const config = new Config('granite-hybrid', json);
    config.only('hidden_act', 'silu');
    config.only('num_local_experts', 0);
    config.only('position_embedding_type', 'nope');
    config.only('mamba_n_groups', 1);
    const dModel = config.integer('hidden_size');
    const vocabSize = config.integer('vocab_size');
    const eps = config.positive('rms_norm_eps', 1e-5);
    const scale = config.positive('residual_multiplier', 1);
    const types = layerTypes(config);
    const weights = new WeightBinder('granite-hybrid', tensors);
    const mamba2Dims = readMamba2(config, dModel);
    const attentionDims = readAttention(config, dModel);
    const mlpDims = {
      d_inner: config.integer('shared_intermediate_size'),
      kind: 'silu',
      bias: false,
      gate: 'merged',
      names: ['input_linear', '', 'output_linear'],
    } as const;
    const blocks = types.map((type, i): Block => {
      const at = `model.layers.${i}`;
      const place = (name: string, norm: string, mixer: string): Place => {
        return { weights, name, norm: `${at}.${norm}.weight`, mixer: `${at}.${mixer}`, dModel, eps, scale };
      };
      const mixer = MAMBA.includes(type)
        ? mamba2Block(place(`layers.${i}`, 'input_layernorm', 'mamba'), mamba2Dims)
        : attentionBlock(place(`layers.${i}`, 'input_layernorm', 'self_attn'), attentionDims);
      const mlp = mlpBlock(place(`layers.${i}.mlp`, 'post_attention_layernorm', 'shared_mlp'), mlpDims);
      return (draft) => {
        mixer(draft);
        mlp(draft);
      };
    });
    return languageModel(
      {
        architecture: 'granite-hybrid',
        dModel,
        vocabSize,
        eps,
        tied: config.flag('tie_word_embeddings', false),
        bosTokenId: config.tokenIds('bos_token_id', vocabSize)[0] ?? null,
        eosTokenIds: config.tokenIds('eos_token_id', vocabSize),
        tensors: {
          embedding: 'model.embed_tokens.weight',
          norm: 'model.norm.weight',
          layers: 'model.layers.',
        },
        embeddingScale: config.positive('embedding_multiplier', 1),
        logitsScale: 1 / config.positive('logits_scaling', 1),
      },
      weights,
      blocks,
    );
  },
};

function layerTypes(config: Config): string[] {
  const types = config.texts('layer_types');
  const count = config.integer('num_hidden_layers');
  if (types.length !== count || !types.every((type) => [...MAMBA, ...ATTENTION].includes(type)))
    throw config.invalid('layer_types', `${count} of ${[...MAMBA, ...ATTENTION].join(', ')}`);
  return types;
}

/** The gated norm spans all heads, and gates first. */
function readMamba2(config: Config, dModel: number): Mamba2Dims {
  const d_inner = Math.floor(config.positive('mamba_expand', 2) * dModel);
  const nheads = config.integer('mamba_n_heads', 128);
  const headdim = config.isText('mamba_d_head', 'auto')
    ? d_inner / nheads
    : config.integer('mamba_d_head', d_inner / nheads);
  if (nheads * headdim !== d_inner)
    throw config.invalid('mamba_n_heads', `${d_inner / headdim}, mamba_expand · hidden_size / mamba_d_head`);
  return {
    d_inner,
    headdim,
    nheads,
    ngroups: 1,
    d_state: config.integer('mamba_d_state', 256),
    d_conv: convKernel(config, 'mamba_d_conv'),
    mode: 'gate_then_norm',
    ...config.dtLimit('time_step_limit'),
    hasHeadDimD: false,
    bias: config.flag('mamba_proj_bias', false),
    convBias: config.flag('mamba_conv_bias', true),
  };
}

function readAttention(config: Config, dModel: number) {
  const heads = config.integer('num_attention_heads', 32);
  const kvHeads = config.integer('num_key_value_heads', heads);
  if (dModel % heads !== 0) throw config.invalid('num_attention_heads', `a divisor of hidden_size ${dModel}`);
  if (heads % kvHeads !== 0) throw config.invalid('num_key_value_heads', `a divisor of the ${heads} heads`);
  const bias = config.flag('attention_bias', false);
  return {
    heads,
    kvHeads,
    headDim: dModel / heads,
    window: null,
    scale: config.positive('attention_multiplier', 1),
    qkvBias: bias,
    outBias: bias,
    separate: true,
  };
}
