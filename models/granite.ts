import type { TensorShape } from '../src/weights/types.ts';
import {
  attentionBlock,
  type Block,
  inTurn,
  type Mamba2Dims,
  type MlpDims,
  mamba2Block,
  mlpBlock,
} from './blocks.ts';
import { languageModel } from './blueprint.ts';
import { Config, declares } from './config.ts';
import { MODEL, modelLayer, readMambaFields } from './transformers.ts';
import type { Architecture } from './types.ts';
import { WeightBinder } from './weights.ts';

const MAMBA = ['mamba', 'linear_attention']; // transformers 4 and 5
const ATTENTION = ['attention', 'full_attention'];

/**
 * Granite 4.0 H without experts (`GraniteMoeHybridForCausalLM` of transformers): in every layer Mamba-2 or attention
 * without positional encoding, then a gated MLP; what either adds is scaled, as are embeddings and logits.
 */
export const granite: Architecture = {
  name: 'granitemoehybrid',
  tensorNames: MODEL,
  matches: (config) => declares(config, 'GraniteMoeHybridForCausalLM', 'granitemoehybrid'),
  read(json, tensors: ReadonlyMap<string, TensorShape>) {
    const config = new Config('granitemoehybrid', json);
    config.only('hidden_act', 'silu');
    config.only('num_local_experts', 0);
    if ([...tensors.keys()].some((name) => name.includes('.block_sparse_moe.')))
      throw config.unsupported('num_local_experts', 'models with experts are not'); // 8 if absent
    config.only('position_embedding_type', 'nope');
    config.only('mamba_n_groups', 1);
    const dModel = config.integer('hidden_size');
    const vocabSize = config.integer('vocab_size');
    const eps = config.positive('rms_norm_eps', 1e-6);
    const scale = config.positive('residual_multiplier', 1);
    const types = layerTypes(config);
    const weights = new WeightBinder('granitemoehybrid', tensors);
    const mamba2Dims = readMamba2(config, dModel);
    const attentionDims = readAttention(config, dModel);
    const [mlp, mlpDims] = readMlp(config, weights);
    const blocks = types.map((type, i): Block => {
      const place = modelLayer(weights, i, dModel, eps);
      const mixer = MAMBA.includes(type)
        ? mamba2Block(place('', 'input_layernorm', 'mamba', scale), mamba2Dims)
        : attentionBlock(place('', 'input_layernorm', 'self_attn', scale), attentionDims);
      return inTurn(mixer, mlpBlock(place('.mlp', 'post_attention_layernorm', mlp, scale), mlpDims));
    });
    return languageModel(
      {
        architecture: 'granitemoehybrid',
        dModel,
        vocabSize,
        eps,
        tied: config.flag('tie_word_embeddings', false),
        bosTokenId: config.tokenIds('bos_token_id', vocabSize, 1)[0] ?? null,
        eosTokenIds: config.tokenIds('eos_token_id', vocabSize, 2),
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

/** transformers has gate and up in one; llama.cpp and mlx-lm split them. */
function readMlp(config: Config, weights: WeightBinder): [mixer: string, MlpDims] {
  const plain = {
    d_inner: config.integer('shared_intermediate_size'),
    kind: 'silu',
    bias: false,
  } as const;
  return weights.has('model.layers.0.mlp.gate_proj.weight')
    ? ['mlp', { ...plain, gate: 'plain', names: ['gate_proj', 'up_proj', 'down_proj'] }]
    : ['shared_mlp', { ...plain, gate: 'merged', names: ['input_linear', '', 'output_linear'] }];
}

/** All Mamba-2 if the config says nothing, under either name. */
function layerTypes(config: Config): string[] {
  const count = config.integer('num_hidden_layers');
  const field = ['layer_types', 'layers_block_type'].find((name) => config.has(name));
  if (field === undefined) return Array.from({ length: count }, () => MAMBA[0]!);
  const types = config.texts(field);
  if (types.length !== count || !types.every((type) => [...MAMBA, ...ATTENTION].includes(type)))
    throw config.invalid(field, `${count} of ${[...MAMBA, ...ATTENTION].join(', ')}`);
  return types;
}

/** The gated norm spans all heads, and gates first. */
function readMamba2(config: Config, dModel: number): Mamba2Dims {
  const d_inner = Math.floor(config.positive('mamba_expand', 2) * dModel);
  const fields = readMambaFields(config, d_inner, 'mamba_expand · hidden_size');
  return { ...fields, mode: 'gate_then_norm' };
}

function readAttention(config: Config, dModel: number) {
  const heads = config.divisor('num_attention_heads', dModel, `hidden_size ${dModel}`, 32);
  const bias = config.flag('attention_bias', false);
  return {
    heads,
    kvHeads: config.divisor('num_key_value_heads', heads, `the ${heads} heads`, heads),
    headDim: dModel / heads,
    window: null,
    scale: config.positive('attention_multiplier', 1),
    qkvBias: bias,
    outBias: bias,
    separate: true,
  };
}
