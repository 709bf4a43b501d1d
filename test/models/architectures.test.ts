import { describe, expect, test } from 'vitest';
import { architectures, findArchitecture } from '../../models/index.ts';
import type { EdgeError, EdgeErrorCode } from '../../src/errors.ts';
import { checkProgram } from '../../src/ops/program.ts';
import type { JsonObject } from '../../src/types.ts';
import type { TensorShape } from '../../src/weights/types.ts';
import { FIXTURES, loadFixture } from '../helpers/fixtures.ts';

const OPTIONS = { chunk: 16, maxContext: 100 };

function fixture(name: string): { config: JsonObject; tensors: Map<string, TensorShape> } {
  const { config, tensors } = loadFixture(name);
  return { config, tensors: new Map(tensors) };
}

const read = (config: JsonObject, tensors: ReadonlyMap<string, TensorShape>) =>
  findArchitecture(config).read(config, tensors);

function refusal(action: () => unknown): { code: EdgeErrorCode; message: string } {
  try {
    action();
  } catch (error) {
    const { name, code, message } = error as EdgeError;
    expect(name).toBe('EdgeError');
    return { code, message };
  }
  throw new Error('nothing was refused');
}

/** A config in state-spaces' words, and the tensors of such a checkpoint. */
function stateSpaces(changes: JsonObject = {}, ssm: JsonObject = {}) {
  const config: JsonObject = {
    d_model: 64,
    n_layer: 2,
    vocab_size: 250,
    pad_vocab_size_multiple: 16,
    d_intermediate: 0,
    attn_layer_idx: [],
    attn_cfg: {},
    rms_norm: true,
    residual_in_fp32: true,
    fused_add_norm: true,
    tie_embeddings: true,
    ssm_cfg: { layer: 'Mamba2', headdim: 16, d_state: 16, ...ssm },
    ...changes,
  };
  const tensors = new Map<string, TensorShape>();
  for (const [name, { dtype, shape }] of fixture('mamba2-a').tensors) {
    if (name.startsWith('backbone.layers.2.')) continue;
    tensors.set(name.replace('embeddings', 'embedding'), { dtype, shape });
  }
  tensors.set('lm_head.weight', { dtype: 'F32', shape: [256, 64] }); // published files store the tied head
  return { config, tensors };
}

describe('finding an architecture', () => {
  test('names are unique, and every fixture is claimed by exactly one', () => {
    expect(new Set(architectures.map(({ name }) => name)).size).toBe(architectures.length);
    for (const name of FIXTURES) {
      const { config } = fixture(name);
      expect(architectures.filter((architecture) => architecture.matches(config))).toHaveLength(1);
    }
    expect(findArchitecture(stateSpaces().config).name).toBe('mamba2');
    expect(findArchitecture({ architectures: ['ReneLMHeadModel'] }).name).toBe('rene');
  });

  test('others are refused, naming what was found and what is supported', () => {
    const { code, message } = refusal(() =>
      findArchitecture({ model_type: 'llama', architectures: ['LlamaForCausalLM'] }),
    );
    expect(code).toBe('UNSUPPORTED_MODEL');
    expect(message).toContain('"llama"');
    expect(message).toContain('LlamaForCausalLM');
    expect(message).toContain('mamba2, rene');
    expect(refusal(() => findArchitecture({})).message).toContain('no model_type');
    const mamba1 = { d_model: 768, n_layer: 24, vocab_size: 50277, ssm_cfg: { layer: 'Mamba1' } };
    expect(refusal(() => findArchitecture(mamba1)).message).toContain('Mamba1');
  });
});

describe('blueprints', () => {
  for (const name of FIXTURES)
    test(`${name}: a program that keeps every contract, over exactly the tensors there are`, () => {
      const { config, tensors } = fixture(name);
      const blueprint = read(config, tensors);
      const program = blueprint.program(OPTIONS);
      checkProgram(program);
      expect(program.calls.at(-1)).toEqual({ op: 'sample' });
      expect(Object.keys(blueprint.sources).sort()).toEqual(Object.keys(program.weights).sort());
      const bound = Object.values(blueprint.sources).map(({ tensor }) => tensor);
      expect(new Set(bound)).toEqual(new Set(tensors.keys()));
      const bounded = /^(granite|falcon)/.test(name); // by attention without a window
      expect(program.maxContext).toBe(bounded ? OPTIONS.maxContext : Number.POSITIVE_INFINITY);
    });

  test('facts of a transformers Mamba-2', () => {
    const { config, tensors } = fixture('mamba2-a');
    const {
      sources: _,
      program: __,
      ...facts
    } = read({ ...config, eos_token_id: [3, 5], bos_token_id: 1 }, tensors);
    expect(facts).toEqual({
      architecture: 'mamba2',
      dModel: 64,
      nLayer: 3,
      vocabSize: 256,
      bosTokenId: 1,
      eosTokenIds: [3, 5],
    });
  });

  test('bos and eos that the vocabulary lacks, −1 among them, are none', () => {
    for (const name of FIXTURES) {
      const { config, tensors } = fixture(name);
      const { bosTokenId, eosTokenIds } = read(
        { ...config, bos_token_id: 2 ** 20, eos_token_id: [-1, 3, 2 ** 20] },
        tensors,
      );
      expect([bosTokenId, eosTokenIds]).toEqual([null, [3]]);
      expect(read({ ...config, eos_token_id: -1 }, tensors).eosTokenIds).toEqual([]);
    }
  });

  test('state-spaces names: padded vocabulary, tied head ignored, gate before norm', () => {
    const { config, tensors } = stateSpaces({}, { dt_limit: [0.001, 0.5] });
    const blueprint = read(config, tensors);
    expect(blueprint).toMatchObject({ architecture: 'mamba2', vocabSize: 256, nLayer: 2, eosTokenIds: [] });
    expect(blueprint.bosTokenId).toBeNull();
    const program = blueprint.program(OPTIONS);
    checkProgram(program);
    expect(program.weights.head).toBeUndefined();
    expect(program.calls[3]).toMatchObject({ op: 'ssd_scan', dtMin: 0.001, dtMax: 0.5 });
    expect(program.calls[4]).toMatchObject({ op: 'gate_norm', mode: 'gate_then_norm' });
    const before = stateSpaces({}, { norm_before_gate: true });
    expect(read(before.config, before.tensors).program(OPTIONS).calls[4]).toMatchObject({
      mode: 'norm_then_gate',
    });
  });

  test('both spellings of one model give one program', () => {
    const published = stateSpaces();
    const { config, tensors } = fixture('mamba2-a');
    for (const name of [...tensors.keys()]) if (name.startsWith('backbone.layers.2.')) tensors.delete(name);
    const converted = read({ ...config, num_hidden_layers: 2 }, tensors);
    expect(converted.program(OPTIONS)).toEqual(read(published.config, published.tensors).program(OPTIONS));
    expect(converted.sources['layers.1.A']).toEqual({
      tensor: 'backbone.layers.1.mixer.A_log',
      transform: 'neg_exp',
    });
  });

  test('an untied head, D per channel, and groups', () => {
    const { config, tensors } = stateSpaces({ tie_embeddings: false }, { D_has_hdim: true, ngroups: 2 });
    for (const layer of ['backbone.layers.0.mixer.', 'backbone.layers.1.mixer.']) {
      tensors.set(`${layer}D`, { dtype: 'F32', shape: [128] });
      tensors.set(`${layer}in_proj.weight`, { dtype: 'F32', shape: [128 * 2 + 64 + 8, 64] });
      tensors.set(`${layer}conv1d.weight`, { dtype: 'F32', shape: [192, 1, 4] });
      tensors.set(`${layer}conv1d.bias`, { dtype: 'F32', shape: [192] });
    }
    const program = read(config, tensors).program(OPTIONS);
    checkProgram(program);
    expect(program.weights.head).toEqual({ shape: [256, 64], role: 'linear' });
    expect(program.weights['layers.0.D']).toEqual({ shape: [128], role: 'vector' });
    expect(program.calls[4]).toMatchObject({ op: 'gate_norm', ngroups: 2 });
  });

  test('Infinity comes bare or wrapped', () => {
    const { config, tensors } = fixture('mamba2-a');
    for (const limit of [Number.POSITIVE_INFINITY, { __float__: 'Infinity' }]) {
      const program = read({ ...config, time_step_limit: [0.25, limit] }, tensors).program(OPTIONS);
      expect(program.calls[3]).toMatchObject({ dtMin: 0.25, dtMax: Number.POSITIVE_INFINITY });
    }
  });

  test('rene: rings of windows, and maxContext where there is none', () => {
    const { config, tensors } = fixture('rene-a');
    const windowed = read(config, tensors).program(OPTIONS);
    expect(windowed.states['layers.6.kv']).toEqual({ shape: [2, 24 + 16 - 1, 16], layout: { ringAxis: 1 } });
    const attn_cfg = { ...(config.attn_cfg as JsonObject), sliding_window_length: null, softmax_scale: 0.5 };
    const unbounded = read({ ...config, attn_cfg }, tensors).program(OPTIONS);
    checkProgram(unbounded);
    expect(unbounded.maxContext).toBe(100);
    expect(unbounded.states['layers.6.kv']!.shape).toEqual([2, 100, 16]);
    const call = unbounded.calls.find(({ op }) => op === 'window_attention');
    expect(call).toMatchObject({ window: 100, scale: 0.5 });
  });

  test('programs refuse options that make no sense', () => {
    const { config, tensors } = fixture('rene-a');
    const blueprint = read(config, tensors);
    for (const options of [
      { chunk: 0, maxContext: 1 },
      { chunk: 1, maxContext: 1.5 },
      { chunk: 1, maxContext: -1 },
    ])
      expect(refusal(() => blueprint.program(options)).code).toBe('INVALID_ARGUMENT');
  });
});

describe('what is refused', () => {
  const changes: [fixture: string, change: JsonObject, code: EdgeErrorCode, message: RegExp][] = [
    ['mamba2-a', { hidden_act: 'gelu' }, 'UNSUPPORTED_MODEL', /hidden_act = "gelu"/],
    ['mamba2-a', { rms_norm: false }, 'UNSUPPORTED_MODEL', /rms_norm = false/],
    ['mamba2-a', { conv_kernel: 9 }, 'UNSUPPORTED_MODEL', /conv_kernel = 9/],
    ['mamba2-a', { hidden_size: 32, num_heads: 4 }, 'INVALID_FILE', /\[256,64\].*\[256,32\]|\[64\].*\[32\]/],
    ['mamba2-a', { num_heads: 4 }, 'INVALID_FILE', /num_heads must be 8,.* found 4/],
    ['mamba2-a', { state_size: 17 }, 'INVALID_FILE', /in_proj.weight' as \[296,64\].* asks for \[298,64\]/],
    ['mamba2-a', { n_groups: 3 }, 'INVALID_FILE', /n_groups/],
    ['mamba2-a', { num_hidden_layers: 4 }, 'INVALID_FILE', /no tensor 'backbone.layers.3.norm.weight'/],
    ['mamba2-a', { num_hidden_layers: 2 }, 'INVALID_FILE', /layers.2.*counts 2 layers/],
    ['mamba2-a', { num_hidden_layers: -1 }, 'INVALID_FILE', /num_hidden_layers must be .* found -1/],
    ['mamba2-a', { num_hidden_layers: 2 ** 31 }, 'INVALID_FILE', /num_hidden_layers must be .* found 2147/],
    ['mamba2-a', { vocab_size: 250 }, 'INVALID_FILE', /\[256,64\].*\[250,64\]/],
    ['mamba2-a', { use_conv_bias: false }, 'INVALID_FILE', /conv1d.bias.*no bias/],
    ['mamba2-a', { use_bias: true }, 'INVALID_FILE', /no tensor '.*in_proj.bias'/],
    ['mamba2-a', { tie_word_embeddings: false }, 'INVALID_FILE', /no tensor 'lm_head.weight'/],
    ['mamba2-a', { time_step_limit: [0.5, 0.1] }, 'INVALID_FILE', /time_step_limit/],
    ['mamba2-a', { time_step_limit: [0, { __float__: 'NaN' }] }, 'INVALID_FILE', /time_step_limit/],
    ['mamba2-a', { time_step_limit: 'all' }, 'INVALID_FILE', /time_step_limit.*found "all"/],
    ['mamba2-a', { eos_token_id: 'x' }, 'INVALID_FILE', /eos_token_id must be null, a token id .*found "x"/],
    [
      'mamba2-a',
      { layer_norm_epsilon: 0 },
      'INVALID_FILE',
      /layer_norm_epsilon must be a positive number, found 0/,
    ],
    ['rene-a', { rms_norm: false }, 'UNSUPPORTED_MODEL', /rms_norm = false/],
    ['rene-a', { attn_layer_idx: [12] }, 'INVALID_FILE', /attn_layer_idx.*below 12/],
    ['rene-a', { mlp_layer_idx: [6] }, 'INVALID_FILE', /mlp_layer_idx/],
    ['rene-a', { mlp_layer_idx: [2, 5, 8] }, 'INVALID_FILE', /no tensor|as \[/],
    ['rene-a', { attn_cfg: [] }, 'INVALID_FILE', /attn_cfg must be an object/],
    [
      'rene-a',
      { d_model: '64' },
      'INVALID_FILE',
      /d_model must be a positive integer below 2147483648, found "64"/,
    ],
    ['falcon-h1', { ssm_multipliers: [1, 1] }, 'INVALID_FILE', /ssm_multipliers must be 5 positive numbers/],
    ['falcon-h1', { mlp_multipliers: [1, 0] }, 'INVALID_FILE', /mlp_multipliers must be 2 positive numbers/],
    ['falcon-h1', { mamba_proj_bias: true }, 'UNSUPPORTED_MODEL', /mamba_proj_bias = true/],
    ['falcon-h1', { mamba_n_heads: 7 }, 'INVALID_FILE', /mamba_n_heads must be 8/],
    ['falcon-h1', { mamba_n_groups: 3 }, 'INVALID_FILE', /mamba_n_groups must be a divisor/],
    ['falcon-h1', { num_key_value_heads: 3 }, 'INVALID_FILE', /num_key_value_heads must be a divisor/],
    ['falcon-h1', { rope_scaling: { factor: 2 } }, 'UNSUPPORTED_MODEL', /rope_scaling/],
    ['falcon-h1', { rope_parameters: { rope_type: 'yarn' } }, 'UNSUPPORTED_MODEL', /rope_type = "yarn"/],
    [
      'falcon-h1',
      { attention_bias: true, attention_in_multiplier: 2 },
      'UNSUPPORTED_MODEL',
      /attention_in_multiplier = 2/,
    ],
    ['granite-hybrid', { num_local_experts: 4 }, 'UNSUPPORTED_MODEL', /num_local_experts = 4/],
    [
      'granite-hybrid',
      { position_embedding_type: 'rope' },
      'UNSUPPORTED_MODEL',
      /position_embedding_type = "rope"/,
    ],
    ['granite-hybrid', { mamba_n_groups: 2 }, 'UNSUPPORTED_MODEL', /mamba_n_groups = 2/],
    ['granite-hybrid', { layer_types: ['mamba'] }, 'INVALID_FILE', /layer_types must be 4 of mamba/],
    ['granite-hybrid', { layer_types: 'mamba' }, 'INVALID_FILE', /layer_types must be a list of texts/],
    ['granite-hybrid', { mamba_d_head: 5 }, 'INVALID_FILE', /mamba_n_heads must be/],
    ['granite-hybrid', { num_key_value_heads: 3 }, 'INVALID_FILE', /num_key_value_heads must be a divisor/],
    ['granite-hybrid', { num_attention_heads: 7 }, 'INVALID_FILE', /num_attention_heads must be a divisor/],
    ['granite-hybrid', { residual_multiplier: 0 }, 'INVALID_FILE', /residual_multiplier must be a positive/],
    ['granite-hybrid', { attention_bias: true }, 'INVALID_FILE', /no tensor '.*q_proj.bias'/],
    [
      'granite-hybrid',
      { shared_intermediate_size: 64 },
      'INVALID_FILE',
      /input_linear.weight' as \[256,64\]/,
    ],
  ];
  for (const [name, change, code, message] of changes)
    test(`${name} with ${JSON.stringify(change)}`, () => {
      const { config, tensors } = fixture(name);
      const found = refusal(() => read({ ...config, ...change }, tensors));
      expect(found.message).toMatch(message);
      expect(found.code).toBe(code);
    });

  const sections: [section: string, change: JsonObject, code: EdgeErrorCode, message: RegExp][] = [
    ['ssm_cfg', { rmsnorm: false }, 'UNSUPPORTED_MODEL', /ssm_cfg.rmsnorm = false/],
    ['ssm_cfg', { d_ssm: 64 }, 'UNSUPPORTED_MODEL', /ssm_cfg.d_ssm = 64/],
    ['ssm_cfg', { activation: 'relu' }, 'UNSUPPORTED_MODEL', /ssm_cfg.activation = "relu"/],
    ['ssm_cfg', { headdim: 24 }, 'INVALID_FILE', /headdim must be a divisor of d_inner 128/],
    ['ssm_cfg', { ngroups: 5 }, 'INVALID_FILE', /ngroups must be a divisor/],
    ['ssm_cfg', { D_has_hdim: true }, 'INVALID_FILE', /mixer.D' as \[8\].*\[128\]/],
    ['attn_cfg', { rotary_emb_dim: 32 }, 'UNSUPPORTED_MODEL', /attn_cfg.rotary_emb_dim = 32/],
    ['attn_cfg', { causal: false }, 'UNSUPPORTED_MODEL', /attn_cfg.causal = false/],
    ['attn_cfg', { num_heads_kv: 3 }, 'INVALID_FILE', /num_heads_kv must be a divisor/],
    ['attn_cfg', { sliding_window_length: 0 }, 'INVALID_FILE', /sliding_window_length must be a positive/],
    ['attn_cfg', { qkv_proj_bias: true }, 'INVALID_FILE', /no tensor '.*in_proj.bias'/],
    ['mlp_cfg', { activation: 'relu' }, 'UNSUPPORTED_MODEL', /mlp_cfg.activation/],
    ['mlp_cfg', { expand: 4 }, 'INVALID_FILE', /\[192,64\].*\[256,64\]/],
    ['mlp_cfg', { bias: false }, 'INVALID_FILE', /no bias/],
  ];
  for (const [section, change, code, message] of sections)
    test(`rene-a with ${section} ${JSON.stringify(change)}`, () => {
      const { config, tensors } = fixture('rene-a');
      const fields = { ...(config[section] as JsonObject), ...change };
      const found = refusal(() => read({ ...config, [section]: fields }, tensors));
      expect(found.message).toMatch(message);
      expect(found.code).toBe(code);
    });

  test('options of state-spaces that no program is written for, by name', () => {
    for (const [change, message] of [
      [{ attn_layer_idx: [1], attn_cfg: { num_heads: 4, mlp_dim: 64 } }, /attn_cfg.mlp_dim = 64/],
      [
        { attn_layer_idx: [1], attn_cfg: { num_heads: 4, rotary_emb_interleaved: true } },
        /interleaved = true/,
      ],
      [{ rms_norm: false }, /rms_norm = false/],
    ] as const) {
      const { config, tensors } = stateSpaces(change as unknown as JsonObject);
      const found = refusal(() => read(config, tensors));
      expect(found).toMatchObject({ code: 'UNSUPPORTED_MODEL', message: expect.stringMatching(message) });
    }
  });

  test('options that are switched off do no harm', () => {
    const { config, tensors } = fixture('rene-a');
    const attn_cfg = { ...(config.attn_cfg as JsonObject), rotary_emb_dim: 0, d_conv: null };
    expect(() => read({ ...config, attn_cfg }, tensors)).not.toThrow();
  });
});
