import type { JsonObject } from '../src/types.ts';
import type { TensorShape } from '../src/weights/types.ts';
import {
  type AttentionDims,
  attentionBlock,
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

/**
 * Falcon-H1 (`FalconH1ForCausalLM` of transformers): in every layer Mamba-2 and rotary attention side by side on the
 * same norm, then a gated MLP; multipliers (µP) on the way into and out of each.
 */
export const falconH1: Architecture = {
  name: 'falcon_h1',
  tensorNames: MODEL,
  matches: (config) => declares(config, 'FalconH1ForCausalLM', 'falcon_h1'),
  read(json, tensors: ReadonlyMap<string, TensorShape>) {
    const folded = isFolded(tensors);
    const config = new Config('falcon_h1', folded ? withoutFolded(json) : json);
    config.only('hidden_act', 'silu');
    if (folded) for (const bias of ['attention_bias', 'mlp_bias']) config.only(bias, false); // mlx-lm folds weights only
    const dModel = config.integer('hidden_size');
    const vocabSize = config.integer('vocab_size');
    const nLayer = config.integer('num_hidden_layers');
    const eps = config.positive('rms_norm_eps', 1e-5);
    const weights = new WeightBinder('falcon_h1', tensors);
    const mamba2Dims = readMamba2(config, dModel);
    const attentionDims = readAttention(config, dModel, folded);
    const mlp = readMlp(config);
    const ssmOut = config.positive('ssm_out_multiplier', 1);
    const attentionOut = config.positive('attention_out_multiplier', 1);
    const blocks = Array.from({ length: nLayer }, (_, i) => {
      const place = modelLayer(weights, i, dModel, eps);
      // Attention still reads what Mamba-2 has read.
      const mamba2 = place('', 'input_layernorm', 'mamba', ssmOut);
      const attention = place('.attention', 'input_layernorm', 'self_attn', attentionOut);
      return inTurn(
        mamba2Block({ ...mamba2, sum: { of: 'residual', to: 'half' } }, mamba2Dims),
        attentionBlock({ ...attention, sum: { of: 'half', to: 'residual' } }, attentionDims),
        mlpBlock(place('.mlp', 'pre_ff_layernorm', 'feed_forward', mlp.out), mlp.dims),
      );
    });
    return languageModel(
      {
        architecture: 'falcon_h1',
        dModel,
        vocabSize,
        eps,
        tied: config.flag('tie_word_embeddings', false),
        bosTokenId: config.tokenIds('bos_token_id', vocabSize, 1)[0] ?? null,
        eosTokenIds: config.tokenIds('eos_token_id', vocabSize, 2),
        tensors: {
          embedding: 'model.embed_tokens.weight',
          norm: 'model.final_layernorm.weight',
          layers: 'model.layers.',
        },
        embeddingScale: config.positive('embedding_multiplier', 1),
        logitsScale: config.positive('lm_head_multiplier', 1),
      },
      weights,
      blocks,
    );
  },
};

/**
 * Has mlx-lm multiplied the multipliers into the weights? Its sign of that is the convolution [channels, taps, 1],
 * which transformers has [channels, 1, taps].
 */
function isFolded(tensors: ReadonlyMap<string, TensorShape>): boolean {
  const [, first = 1, second = 1] = tensors.get('model.layers.0.mamba.conv1d.weight')?.shape ?? [];
  return first > second;
}

/** The multipliers that such weights still ask for. Of attention: see `readAttention`. */
function withoutFolded(json: JsonObject): JsonObject {
  const { embedding_multiplier: embedding = 1, lm_head_multiplier: head = 1 } = json;
  const tied = json.tie_word_embeddings === true; // then the head is the embedding, with the embedding's multiplier
  const left = tied && typeof head === 'number' && typeof embedding === 'number' ? head / embedding : 1;
  return {
    ...json,
    embedding_multiplier: 1,
    lm_head_multiplier: left,
    attention_out_multiplier: 1,
    ssm_in_multiplier: 1,
    ssm_out_multiplier: 1,
    ssm_multipliers: null,
    mlp_multipliers: null,
  };
}

/** `mamba_rms_norm` false: the gate alone. */
function readMamba2(config: Config, dModel: number): Mamba2Dims {
  config.only('mamba_proj_bias', false);
  const expanded = Math.floor(config.positive('mamba_expand', 2) * dModel);
  const d_inner = config.integer('mamba_d_ssm', config.isNull('mamba_d_ssm') ? expanded : 1024);
  const first = config.flag('mamba_norm_before_gate', true) ? 'norm_then_gate' : 'gate_then_norm';
  const into = config.positive('ssm_in_multiplier', 1);
  const [z, x, B, C, dt] = config.multipliers('ssm_multipliers', 5).map((by) => into * by);
  return {
    ...readMambaFields(config, d_inner, 'mamba_d_ssm'),
    mode: config.flag('mamba_rms_norm', false) ? first : 'gate',
    multipliers: [z!, x!, B!, C!, dt!],
  };
}

/**
 * mlx-lm folds `attention_in_multiplier` into q and k alone, and knows `key_multiplier` by a name that no tensor has: it
 * runs without both, other than the model was trained and published. Here what is not folded applies.
 */
function readAttention(config: Config, dModel: number, folded: boolean): AttentionDims {
  const heads = config.integer('num_attention_heads', 32);
  const headDim = config.integer('head_dim', Math.floor(dModel / heads));
  const bias = config.flag('attention_bias', false);
  const into = config.positive('attention_in_multiplier', 1);
  if (bias && into !== 1)
    throw config.unsupported('attention_in_multiplier', 'with attention_bias only 1 is');
  const unfolded = folded ? 1 : into; // of q and k
  const rope = config.section('rope_parameters'); // transformers 5; before, fields of their own
  rope.only('rope_type', 'default');
  if (config.has('rope_scaling')) throw config.unsupported('rope_scaling', 'only null is');
  return {
    heads,
    kvHeads: config.divisor(
      'num_key_value_heads',
      heads,
      `the ${heads} heads (8 if absent)`,
      config.isNull('num_key_value_heads') ? heads : 8,
    ),
    headDim,
    window: null,
    scale: 1 / Math.sqrt(headDim),
    qkvBias: bias,
    outBias: bias,
    separate: true,
    multipliers: [unfolded, unfolded * config.positive('key_multiplier', 1), into],
    rotary: { dims: headDim, theta: rope.positive('rope_theta', config.positive('rope_theta', 100_000)) },
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
