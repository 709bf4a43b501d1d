/** Models of transformers as llama.cpp's converter writes them: names, folded multipliers, order of rows, metadata. */
import type { JsonObject } from '../../src/types.ts';
import { bytesOf } from '../../src/weights/bytes.ts';
import { packBlocks } from '../../src/weights/gguf_export.ts';
import { Q4, Q8, roundToNearest } from '../../src/weights/quantize.ts';
import { type GgufTensor, type GgufValue, gguf } from './gguf_file.ts';
import { floatsOf, type RawFixture } from './reexport.ts';

export type Block = 'f32' | 'q4_0' | 'q8_0';
type Weight = { shape: number[]; values: Float32Array };
type Weights = Record<string, Weight>;
type Metadata = [string, GgufValue][];

const NAMES: readonly [pattern: RegExp, name: string][] = [
  [/^(model\.embed_tokens|backbone\.embeddings)\.weight$/, 'token_embd.weight'],
  [/^(model\.norm|model\.final_layernorm|backbone\.norm_f)\.weight$/, 'output_norm.weight'],
  [/^lm_head\.weight$/, 'output.weight'],
  [/(input_layernorm|\d\.norm)\.weight$/, 'attn_norm.weight'],
  [/post_attention_layernorm\.weight$/, 'ffn_norm.weight'],
  [/pre_ff_layernorm\.weight$/, 'ffn_norm'],
  [/in_proj\.weight$/, 'ssm_in.weight'],
  [/out_proj\.weight$/, 'ssm_out.weight'],
  [/conv1d\.weight$/, 'ssm_conv1d.weight'],
  [/conv1d\.bias$/, 'ssm_conv1d.bias'],
  [/dt_bias$/, 'ssm_dt.bias'],
  [/A_log$/, 'ssm_a'],
  [/\.D$/, 'ssm_d'],
  [/(mamba|mixer)\.norm\.weight$/, 'ssm_norm.weight'],
  [/qkv_proj\.weight$/, 'attn_qkv.weight'],
  [/q_proj\.weight$/, 'attn_q.weight'],
  [/k_proj\.weight$/, 'attn_k.weight'],
  [/v_proj\.weight$/, 'attn_v.weight'],
  [/o_proj\.weight$/, 'attn_output.weight'],
  [/gate_proj\.weight$/, 'ffn_gate.weight'],
  [/up_proj\.weight$/, 'ffn_up.weight'],
  [/(down_proj|output_linear)\.weight$/, 'ffn_down.weight'],
];

function nameOf(name: string): string {
  const [, found] = NAMES.find(([pattern]) => pattern.test(name))!;
  const layer = /layers\.(\d+)\./.exec(name)?.[1];
  return layer === undefined ? found : `blk.${layer}.${found}`;
}

/** A fixture as a GGUF file, its matrices in blocks of one kind; further metadata may be given, and q, k, v fused. */
export function llamaGguf(
  fixture: RawFixture,
  block: Block = 'f32',
  more: Metadata = [],
  { fuse = false } = {},
): Uint8Array {
  const { config } = fixture;
  const weights: Weights = {};
  for (const [name, tensor] of Object.entries(fixture.tensors))
    if (name !== 'lm_head.weight' || config.tie_word_embeddings !== true)
      weights[name] = { shape: tensor.shape, values: floatsOf(tensor) };
  const write = { granitemoehybrid: granite, falcon_h1: falcon, mamba2 }[String(config.model_type)]!;
  const { architecture, metadata, tensors: separate } = write(config, weights);
  const tensors = fuse ? fused(separate) : separate;
  const all: Metadata = [
    ['general.architecture', { string: architecture }],
    ...Object.entries(metadata).map(([key, value]): Metadata[number] => [`${architecture}.${key}`, value]),
    ...vocabulary(of(config, 'vocab_size')),
    ['tokenizer.ggml.bos_token_id', { u32: Number(config.bos_token_id) }],
    ['tokenizer.ggml.eos_token_id', { u32: Number(config.eos_token_id) }],
    ...more,
  ];
  const pieces = Object.entries(tensors).map(([name, weight]) => piece(nameOf(name), weight, block));
  return gguf(
    all.filter(([key], i) => all.findLastIndex(([other]) => other === key) === i),
    pieces,
  );
}

/** Tokens without a text to speak of: llama.cpp loads no model without any. */
function vocabulary(size: number): Metadata {
  return [
    ['tokenizer.ggml.model', { string: 'gpt2' }],
    ['tokenizer.ggml.pre', { string: 'gpt-2' }],
    ['tokenizer.ggml.tokens', { array: [8, Array.from({ length: size }, (_, id) => `t${id}`)] }],
    ['tokenizer.ggml.token_type', { array: [5, Array.from({ length: size }, () => 1)] }],
    ['tokenizer.ggml.merges', { array: [8, []] }],
  ];
}

function piece(name: string, { shape, values }: Weight, block: Block): GgufTensor {
  const x = name.endsWith('ssm_a') ? values.map((a) => -Math.exp(a)) : values;
  const dims = /ssm_conv1d\.weight$/.test(name) ? shape.filter((n) => n !== 1) : shape;
  const ne = /ssm_[ad]$/.test(name) ? [1, ...dims] : [...dims].reverse();
  const matrix = dims.length === 2 && !/ssm_(conv1d|norm)/.test(name);
  if (!matrix || block === 'f32') return { name, ne, type: 0, data: bytesOf(x) };
  const [rows, cols] = dims as [number, number];
  const codes = roundToNearest(x, rows, cols, { ...(block === 'q4_0' ? Q4 : Q8), group: 32 });
  return { name, ne, type: block === 'q4_0' ? 2 : 8, data: packBlocks(codes) };
}

const of = (config: JsonObject, key: string) => Number(config[key]);
const u32 = (value: number): GgufValue => ({ u32: value });
const f32 = (value: number): GgufValue => ({ f32: value });

function ssm(config: JsonObject, inner: number): Record<string, GgufValue> {
  return {
    'ssm.conv_kernel': u32(of(config, 'mamba_d_conv')),
    'ssm.state_size': u32(of(config, 'mamba_d_state')),
    'ssm.group_count': u32(of(config, 'mamba_n_groups')),
    'ssm.inner_size': u32(inner),
    'ssm.time_step_rank': u32(of(config, 'mamba_n_heads')),
  };
}

function model(config: JsonObject): Record<string, GgufValue> {
  return {
    vocab_size: u32(of(config, 'vocab_size')),
    block_count: u32(of(config, 'num_hidden_layers')),
    context_length: u32(2 ** 20),
    embedding_length: u32(of(config, 'hidden_size')),
  };
}

function mamba2(config: JsonObject, tensors: Weights) {
  const inner = of(config, 'expand') * of(config, 'hidden_size');
  const groups = of(config, 'n_groups');
  const metadata = {
    ...model(config),
    feed_forward_length: u32(0),
    'attention.head_count': u32(0),
    'attention.layer_norm_rms_epsilon': f32(of(config, 'layer_norm_epsilon')),
    'ssm.conv_kernel': u32(of(config, 'conv_kernel')),
    'ssm.state_size': u32(of(config, 'state_size')),
    'ssm.group_count': u32(groups),
    'ssm.inner_size': u32(inner),
    'ssm.time_step_rank': u32(inner / of(config, 'head_dim')),
  };
  return { architecture: 'mamba2', metadata, tensors: byGroups(tensors, groups) };
}

function granite(config: JsonObject, weights: Weights) {
  const [heads, kvHeads] = [of(config, 'num_attention_heads'), of(config, 'num_key_value_heads')];
  const layers = config.layer_types as string[];
  const metadata = {
    ...model(config),
    feed_forward_length: u32(of(config, 'shared_intermediate_size')),
    'attention.head_count': u32(heads),
    'attention.head_count_kv': {
      array: [
        5,
        layers.map((type) => (/attention$/.test(type) && type !== 'linear_attention' ? kvHeads : 0)),
      ],
    } as GgufValue,
    'attention.layer_norm_rms_epsilon': f32(of(config, 'rms_norm_eps')),
    'attention.scale': f32(of(config, 'attention_multiplier')),
    embedding_scale: f32(of(config, 'embedding_multiplier')),
    residual_scale: f32(of(config, 'residual_multiplier')),
    logit_scale: f32(of(config, 'logits_scaling')),
    'rope.dimension_count': u32(of(config, 'hidden_size') / heads),
    'rope.scaling.finetuned': { bool: false },
    ...ssm(config, of(config, 'mamba_expand') * of(config, 'hidden_size')),
  };
  const tensors: Weights = {};
  for (const [name, weight] of Object.entries(weights)) {
    if (name.endsWith('input_linear.weight')) {
      const half = weight.shape[0]! / 2;
      tensors[name.replace('input_linear', 'gate_proj')] = rows(weight, 0, half);
      tensors[name.replace('input_linear', 'up_proj')] = rows(weight, half, half);
    } else if (name.endsWith('q_proj.weight')) tensors[name] = permuted(weight, heads);
    else if (name.endsWith('k_proj.weight')) tensors[name] = permuted(weight, kvHeads);
    else tensors[name] = weight;
  }
  return { architecture: 'granitehybrid', metadata, tensors: byGroups(tensors, 1) };
}

function falcon(config: JsonObject, weights: Weights) {
  const inner = of(config, 'mamba_d_ssm');
  const rope = (config.rope_parameters ?? config) as JsonObject;
  const metadata = {
    ...model(config),
    feed_forward_length: u32(of(config, 'intermediate_size')),
    'attention.head_count': u32(of(config, 'num_attention_heads')),
    'attention.head_count_kv': u32(of(config, 'num_key_value_heads')),
    'attention.key_length': u32(of(config, 'head_dim')),
    'attention.value_length': u32(of(config, 'head_dim')),
    'attention.layer_norm_rms_epsilon': f32(of(config, 'rms_norm_eps')),
    'rope.freq_base': f32(of(rope, 'rope_theta')),
    ...ssm(config, inner),
  };
  const [gate, down] = config.mlp_multipliers as [number, number];
  const into = of(config, 'attention_in_multiplier');
  const groups = of(config, 'mamba_n_groups');
  const bc = groups * of(config, 'mamba_d_state');
  const parts = config.ssm_multipliers as number[];
  const widths = [inner, inner, bc, bc, Number.POSITIVE_INFINITY];
  const part = (row: number): number => {
    let which = 0;
    for (let end = widths[0]!; row >= end; end += widths[which]!) which++;
    return parts[which]!;
  };
  const factors: readonly [pattern: RegExp, factor: number | ((row: number) => number)][] = [
    [/down_proj/, down],
    [/gate_proj/, gate],
    [/k_proj/, of(config, 'key_multiplier') * into],
    [/[qv]_proj/, into],
    [/o_proj/, of(config, 'attention_out_multiplier')],
    [/out_proj/, of(config, 'ssm_out_multiplier')],
    [/in_proj/, (row) => of(config, 'ssm_in_multiplier') * part(row)],
    [/lm_head/, of(config, 'lm_head_multiplier')],
    [/embed_tokens/, of(config, 'embedding_multiplier')],
  ];
  const tensors = Object.fromEntries(
    Object.entries(weights).map(([name, { shape, values }]): [string, Weight] => {
      const factor = factors.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
      const by = typeof factor === 'number' ? () => factor : factor;
      const cols = values.length / shape[0]!;
      return [name, { shape, values: values.map((x, i) => x * by(Math.floor(i / cols))) }];
    }),
  );
  return { architecture: 'falcon-h1', metadata, tensors: byGroups(tensors, groups) };
}

/** The gated norm as [ngroups, width]. */
function byGroups(weights: Weights, groups: number): Weights {
  return Object.fromEntries(
    Object.entries(weights).map(([name, { shape, values }]): [string, Weight] => [
      name,
      { shape: /(mamba|mixer)\.norm\.weight$/.test(name) ? [groups, values.length / groups] : shape, values },
    ]),
  );
}

/** Rows of q, k and v in one tensor, as `--fuse-qkv` writes them. */
function fused(weights: Weights): Weights {
  const tensors: Weights = {};
  for (const [name, weight] of Object.entries(weights)) {
    const [, prefix, which] = /^(.+\.)([qkv])_proj\.weight$/.exec(name) ?? [];
    if (which === undefined) tensors[name] = weight;
    if (which !== 'q') continue;
    const parts = ['q', 'k', 'v'].map((part) => weights[`${prefix}${part}_proj.weight`]!);
    const values = Float32Array.from(parts.flatMap((part) => [...part.values]));
    const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
    tensors[`${prefix}qkv_proj.weight`] = { shape: [rows, weight.shape[1]!], values };
  }
  return tensors;
}

function rows({ shape, values }: Weight, first: number, count: number): Weight {
  const cols = shape[1]!;
  return { shape: [count, cols], values: values.slice(first * cols, (first + count) * cols) };
}

/** `LlamaModel.permute`: the halves of each head interleaved. */
function permuted({ shape, values }: Weight, heads: number): Weight {
  const [count, cols] = shape as [number, number];
  const half = count / heads / 2;
  const to = new Float32Array(values.length);
  for (let row = 0; row < count; row++) {
    const [head, inHead] = [Math.floor(row / (2 * half)), row % (2 * half)];
    const target = head * 2 * half + 2 * (inHead % half) + Math.floor(inHead / half);
    to.set(values.subarray(row * cols, (row + 1) * cols), target * cols);
  }
  return { shape, values: to };
}
