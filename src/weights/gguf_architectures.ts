import { EdgeError } from '../errors.ts';
import type { JsonObject } from '../types.ts';
import { Facts } from './gguf_facts.ts';
import { elementCount } from './shape.ts';
import type { StoredTensor } from './types.ts';

/** An architecture of llama.cpp's, in the words of transformers. */
interface Translation {
  names: Readonly<Record<string, string>>; // of tensors outside of blocks
  block: string; // what 'blk.' becomes
  blockNames: Readonly<Record<string, string>>;
  config(facts: Facts): JsonObject;
}

const MAMBA2 = {
  'ssm_in.weight': 'in_proj.weight',
  'ssm_in.bias': 'in_proj.bias',
  'ssm_conv1d.weight': 'conv1d.weight',
  'ssm_conv1d.bias': 'conv1d.bias',
  'ssm_dt.bias': 'dt_bias',
  ssm_a: 'A', // −exp(A_log) already
  ssm_d: 'D',
  'ssm_norm.weight': 'norm.weight',
  'ssm_out.weight': 'out_proj.weight',
  'ssm_out.bias': 'out_proj.bias',
};
const ATTENTION = both({
  attn_q: 'q_proj',
  attn_k: 'k_proj',
  attn_v: 'v_proj',
  attn_output: 'o_proj',
});
const MLP = both({ ffn_gate: 'gate_proj', ffn_up: 'up_proj', ffn_down: 'down_proj' });
const MODEL = { 'token_embd.weight': 'model.embed_tokens.weight', 'output.weight': 'lm_head.weight' };

const TRANSLATIONS: Readonly<Record<string, Translation>> = {
  mamba2: {
    names: {
      'token_embd.weight': 'backbone.embeddings.weight',
      'output_norm.weight': 'backbone.norm_f.weight',
      'output.weight': 'lm_head.weight',
    },
    block: 'backbone.layers.',
    blockNames: { 'attn_norm.weight': 'norm.weight', ...under('mixer', MAMBA2) },
    config: mamba2Config,
  },
  granitehybrid: {
    names: { ...MODEL, 'output_norm.weight': 'model.norm.weight' },
    block: 'model.layers.',
    blockNames: {
      'attn_norm.weight': 'input_layernorm.weight',
      'ffn_norm.weight': 'post_attention_layernorm.weight',
      ...under('mamba', MAMBA2),
      ...under('self_attn', ATTENTION), // in llama.cpp's order of rows: without positions any order does
      ...under('mlp', MLP),
    },
    config: graniteConfig,
  },
  'falcon-h1': {
    names: { ...MODEL, 'output_norm.weight': 'model.final_layernorm.weight' },
    block: 'model.layers.',
    blockNames: {
      'attn_norm.weight': 'input_layernorm.weight',
      ffn_norm: 'pre_ff_layernorm.weight', // as llama.cpp's converter writes it
      'ffn_norm.weight': 'pre_ff_layernorm.weight',
      ...under('mamba', MAMBA2),
      ...under('self_attn', ATTENTION),
      ...under('feed_forward', MLP),
    },
    config: falconConfig,
  },
};

/** Values of `general.architecture` that become a model of transformers. */
export const GGUF_ARCHITECTURES: readonly string[] = Object.keys(TRANSLATIONS);

const MATRICES =
  /^(token_embd|output|blk\.\d+\.(ssm_in|ssm_out|ssm_conv1d|attn_(q|k|v|qkv|output)|ffn_(gate|up|down)))\.weight$/;

/** The shape of a tensor there: a vector by groups, [ngroups, width], is one vector; ssm_a is [nheads, 1]. */
export function translatedShape(
  architecture: string,
  name: string,
  shape: readonly number[],
): readonly number[] {
  if (!Object.hasOwn(TRANSLATIONS, architecture) || MATRICES.test(name)) return shape;
  return [elementCount(shape)];
}

/** The name that transformers gives to a tensor of llama.cpp's; what has none keeps its own. */
function translate({ names, block, blockNames }: Translation, name: string): string {
  const [, layer, key = ''] = /^blk\.(\d{1,6})\.(.+)$/.exec(name) ?? [];
  const found = layer === undefined ? names : blockNames;
  const wanted = layer === undefined ? name : key;
  if (!Object.hasOwn(found, wanted)) return name;
  return layer === undefined ? found[wanted]! : `${block}${layer}.${found[wanted]}`;
}

/**
 * The config and tensors that transformers would have of the same model, but for `A`, which is −exp(A_log) already, and
 * multipliers that llama.cpp's converter has folded into the weights. Of an architecture that is not here, names stay as
 * they are and the config says which one it is.
 */
export function translateGguf(
  file: string,
  architecture: string,
  metadata: JsonObject,
  found: readonly (readonly [name: string, tensor: StoredTensor])[],
): { config: JsonObject; tensors: ReadonlyMap<string, StoredTensor> } {
  const known = Object.hasOwn(TRANSLATIONS, architecture);
  const translation = known ? TRANSLATIONS[architecture]! : null;
  const tensors = new Map<string, StoredTensor>();
  const facts = new Facts(file, architecture, metadata, tensors);
  const put = (name: string, tensor: StoredTensor) => {
    if (tensors.has(name)) throw new EdgeError('INVALID_FILE', `${file}: two tensors for '${name}'`);
    tensors.set(name, tensor);
  };
  for (const [name, tensor] of found) {
    const [, layer, kind] = /^(blk\.\d{1,6})\.attn_qkv\.(weight|bias)$/.exec(name) ?? [];
    if (!translation || layer === undefined) put(translation ? translate(translation, name) : name, tensor);
    else
      for (const [part, rows] of Object.entries(facts.splitQkv(tensor)))
        put(translate(translation, `${layer}.${part}.${kind}`), rows);
  }
  return {
    config: translation ? translation.config(facts) : { 'general.architecture': architecture },
    tensors,
  };
}

function mamba2Config(facts: Facts): JsonObject {
  const { inner, heads, kernel, state, groups, expand } = facts.mamba2();
  return {
    architectures: ['Mamba2ForCausalLM'],
    model_type: 'mamba2',
    ...facts.common('backbone.embeddings.weight'),
    conv_kernel: kernel,
    state_size: state,
    n_groups: groups,
    num_heads: heads,
    head_dim: inner / heads,
    expand,
    layer_norm_epsilon: facts.number('attention.layer_norm_rms_epsilon', 1e-5),
    use_bias: facts.tensors.has('backbone.layers.0.mixer.in_proj.bias'),
    use_conv_bias: facts.tensors.has('backbone.layers.0.mixer.conv1d.bias'),
  };
}

/** Shared by llama.cpp's hybrids. */
function hybridConfig(facts: Facts): JsonObject {
  const { inner, heads, kernel, state, groups, expand } = facts.mamba2();
  const attentionHeads = facts.number('attention.head_count');
  const names = [...facts.tensors.keys()];
  return {
    ...facts.common('model.embed_tokens.weight'),
    hidden_act: 'silu',
    rms_norm_eps: facts.number('attention.layer_norm_rms_epsilon', 1e-5),
    num_attention_heads: attentionHeads,
    num_key_value_heads: facts.number('attention.head_count_kv', attentionHeads),
    attention_bias: names.some((name) => name.endsWith('.self_attn.q_proj.bias')),
    mamba_d_conv: kernel,
    mamba_d_state: state,
    mamba_n_groups: groups,
    mamba_n_heads: heads,
    mamba_d_head: inner / heads,
    mamba_expand: expand,
    mamba_proj_bias: names.some((name) => name.endsWith('.mamba.in_proj.bias')),
    mamba_conv_bias: names.some((name) => name.endsWith('.mamba.conv1d.bias')),
  };
}

function graniteConfig(facts: Facts): JsonObject {
  const layers = facts.number('block_count');
  const headDim = facts.number('embedding_length') / facts.number('attention.head_count');
  const experts = facts.value('expert_count') ?? 0;
  const gate = 'model.layers.0.mlp.gate_proj.weight';
  return {
    architectures: ['GraniteMoeHybridForCausalLM'],
    model_type: 'granitemoehybrid',
    ...hybridConfig(facts),
    layer_types: facts
      .layers('attention.head_count_kv', layers)
      .map((heads) => (heads === 0 ? 'mamba' : 'attention')),
    num_local_experts: experts,
    ...(experts === 0 && { shared_intermediate_size: facts.tensor(gate, 'blk.0.ffn_gate.weight').shape[0]! }),
    position_embedding_type: facts.value('rope.scaling.finetuned') === false ? 'nope' : 'rope',
    attention_multiplier: facts.scale('attention.scale', 1 / Math.sqrt(headDim)),
    embedding_multiplier: facts.scale('embedding_scale', 1),
    residual_multiplier: facts.scale('residual_scale', 1),
    logits_scaling: facts.scale('logit_scale', 1),
  };
}

/** llama.cpp's converter folds all multipliers into the weights; its graph gates before it norms, if there is a norm. */
function falconConfig(facts: Facts): JsonObject {
  const headDim = facts.number('embedding_length') / facts.number('attention.head_count');
  const names = [...facts.tensors.keys()];
  const scaling = facts.value('rope.scaling.type');
  return {
    architectures: ['FalconH1ForCausalLM'],
    model_type: 'falcon_h1',
    ...hybridConfig(facts),
    intermediate_size: facts.number('feed_forward_length'),
    head_dim: facts.number('attention.key_length', headDim),
    rope_theta: facts.number('rope.freq_base', 10_000),
    rope_scaling: scaling === undefined || scaling === 'none' ? null : { rope_type: scaling },
    mamba_d_ssm: facts.number('ssm.inner_size'),
    mamba_rms_norm: names.some((name) => name.endsWith('.mamba.norm.weight')),
    mamba_norm_before_gate: false,
    mlp_bias: names.some((name) => name.endsWith('.feed_forward.gate_proj.bias')),
  };
}

function both(names: Readonly<Record<string, string>>): Record<string, string> {
  const kinds = ['weight', 'bias'];
  return Object.fromEntries(
    Object.entries(names).flatMap(([from, to]) => kinds.map((kind) => [`${from}.${kind}`, `${to}.${kind}`])),
  );
}

function under(part: string, names: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(names).map(([from, to]) => [from, `${part}.${to}`]));
}
