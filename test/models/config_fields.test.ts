import { describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { EdgeError } from '../../src/errors.ts';
import type { JsonObject, JsonValue } from '../../src/types.ts';
import { loadFixture } from '../helpers/fixtures.ts';
import { asStateSpaces, rawFixture } from '../weights/reexport.ts';

/** What a config comes to: its program and ids, or why it is refused. */
function outcome(config: JsonObject, tensors: ReadonlyMap<string, { dtype: string; shape: number[] }>) {
  try {
    const { program, sources, ...facts } = findArchitecture(config).read(config, tensors);
    return { ...facts, sources, program: program({ chunk: 16, maxContext: 100 }) };
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    expect(['INVALID_FILE', 'UNSUPPORTED_MODEL']).toContain(error.code);
    return { refused: error.message.replace(/ found .*$/, '') };
  }
}

interface Optional {
  absent: JsonValue; // what it is then
  null?: JsonValue; // what it is as null, if something else
}
type Fields = Readonly<Record<string, Optional>>;

const is = (absent: JsonValue): Optional => ({ absent });
const UNBOUNDED = [0, Number.POSITIVE_INFINITY];
const ids = (absent: JsonValue): Optional => ({ absent, null: [] });

const MAMBA_FIELDS: Fields = {
  mamba_n_heads: is(128),
  mamba_d_head: is('auto'),
  mamba_n_groups: is(1),
  mamba_d_state: is(256),
  mamba_d_conv: is(4),
  mamba_expand: is(2),
  mamba_conv_bias: is(true),
  mamba_proj_bias: is(false),
  time_step_limit: is(UNBOUNDED),
};

/** Optional fields of each config and their defaults, which are those of the code that reads it elsewhere. */
const CASES: [name: string, fixture: string, section: string, fields: Fields, changes?: JsonObject][] = [
  [
    "transformers' Mamba2Config",
    'mamba2-a',
    '',
    {
      hidden_size: is(4096),
      num_hidden_layers: is(64),
      vocab_size: is(32768),
      expand: is(2),
      num_heads: is(128),
      head_dim: is(64),
      n_groups: is(8),
      state_size: is(128),
      conv_kernel: is(4),
      layer_norm_epsilon: is(1e-5),
      use_bias: is(false),
      use_conv_bias: is(true),
      hidden_act: is('silu'),
      rms_norm: is(true),
      time_step_limit: is(UNBOUNDED),
      bos_token_id: ids(0),
      eos_token_id: ids(2),
    },
  ],
  [
    "state-spaces' MambaConfig",
    'state-spaces',
    '',
    {
      n_layer: is(64),
      vocab_size: is(50277),
      pad_vocab_size_multiple: is(8),
      attn_layer_idx: is([]),
      d_intermediate: is(0),
      rms_norm: is(true),
      tie_embeddings: is(true),
      bos_token_id: ids([]),
      eos_token_id: ids([]),
    },
  ],
  [
    "state-spaces' ssm_cfg",
    'state-spaces',
    'ssm_cfg',
    {
      d_state: is(128),
      d_conv: is(4),
      expand: is(2),
      headdim: is(64),
      ngroups: is(1),
      D_has_hdim: is(false),
      rmsnorm: is(true),
      norm_before_gate: is(false),
      dt_limit: is(UNBOUNDED),
      bias: is(false),
      conv_bias: is(true),
    },
  ],
  [
    "Rene's config",
    'rene-a',
    '',
    {
      d_model: is(2048),
      n_layer: is(48),
      vocab_size: is(50280),
      pad_vocab_size_multiple: is(16),
      attn_layer_idx: is([]),
      mlp_layer_idx: is([]),
      rms_norm: is(true),
      tie_word_embeddings: is(true),
      bos_token_id: ids([]),
      eos_token_id: ids(50279),
    },
  ],
  [
    "Rene's attn_cfg",
    'rene-a',
    'attn_cfg',
    {
      num_heads_kv: is(4),
      head_dim: is(16),
      qkv_proj_bias: is(true),
      out_proj_bias: is(true),
      causal: is(true),
      softmax_scale: is(0.25),
      sliding_window_length: is(null),
    },
  ],
  [
    "Rene's mlp_cfg",
    'rene-a',
    'mlp_cfg',
    { expand: is(3), bias: is(true), activation: is('gelu'), glu: is(false) },
  ],
  [
    'GraniteMoeHybridConfig',
    'granite-hybrid',
    '',
    {
      ...MAMBA_FIELDS,
      rms_norm_eps: is(1e-6),
      hidden_act: is('silu'),
      position_embedding_type: is('nope'),
      layer_types: is(['mamba', 'mamba', 'mamba', 'mamba']),
      num_attention_heads: is(32),
      num_key_value_heads: is(4),
      attention_bias: is(false),
      attention_multiplier: is(1),
      embedding_multiplier: is(1),
      residual_multiplier: is(1),
      logits_scaling: is(1),
      tie_word_embeddings: is(false),
      bos_token_id: ids(1),
      eos_token_id: ids(2),
    },
  ],
  [
    'FalconH1Config',
    'falcon-h1',
    '',
    {
      ...MAMBA_FIELDS,
      mamba_d_ssm: { absent: 1024, null: 128 },
      mamba_norm_before_gate: is(true),
      mamba_rms_norm: is(false),
      rms_norm_eps: is(1e-5),
      hidden_act: is('silu'),
      num_attention_heads: is(32),
      num_key_value_heads: { absent: 8, null: 4 },
      attention_bias: is(false),
      mlp_bias: is(false),
      rope_theta: is(100_000),
      rope_scaling: is(null),
      embedding_multiplier: is(1),
      lm_head_multiplier: is(1),
      key_multiplier: is(1),
      attention_in_multiplier: is(1),
      attention_out_multiplier: is(1),
      ssm_in_multiplier: is(1),
      ssm_out_multiplier: is(1),
      ssm_multipliers: is([1, 1, 1, 1, 1]),
      mlp_multipliers: is([1, 1]),
      tie_word_embeddings: is(false),
      bos_token_id: ids(1),
      eos_token_id: ids(2),
    },
    { rope_parameters: null },
  ],
];

/** Nothing that any field takes. */
const NONSENSE: JsonValue[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  'Infinity',
  { __float__: 'Infinity' },
  -1.5,
  'x',
  [{}],
  ['x'],
  { a: 1 },
];

describe.each(CASES)('%s', (_, fixture, section, fields, changes = {}) => {
  const model = fixture === 'state-spaces' ? asStateSpaces(rawFixture('mamba2-a')) : loadFixture(fixture);
  const tensors = new Map(
    model.tensors instanceof Map ? model.tensors : Object.entries(model.tensors),
  ) as Map<string, { dtype: string; shape: number[] }>;
  const base: JsonObject = { ...model.config, ...changes };
  const within = (section === '' ? base : base[section]) as JsonObject;
  const put = (part: JsonObject) => outcome(section === '' ? part : { ...base, [section]: part }, tensors);

  test('runs', () => expect(put(within)).toHaveProperty('program'));

  describe.each(Object.entries(fields))('%s', (field, { absent, null: isNull = absent }) => {
    test('absent and null: the default', () => {
      const { [field]: __, ...without } = within;
      expect(put(without)).toEqual(put({ ...without, [field]: absent }));
      expect(put({ ...without, [field]: null })).toEqual(put({ ...without, [field]: isNull }));
    });

    test('nonsense is refused by the name of the field', () => {
      for (const value of NONSENSE) {
        const found = put({ ...within, [field]: value });
        expect(found, JSON.stringify(value)).toHaveProperty('refused');
        expect((found as { refused: string }).refused).toContain(
          section === '' ? field : `${section}.${field}`,
        );
      }
    });
  });

  const limit = Object.keys(fields).find((field) => /limit$/.test(field));
  if (limit)
    test('limits that are none, however they are spelled', () => {
      const infinities: JsonValue[] = [
        Number.POSITIVE_INFINITY,
        null,
        ...['Infinity', 'inf', '+inf', 'Inf', '+Infinity'],
        { __float__: 'Infinity' },
        { __float__: 'inf' },
      ];
      const wanted = put({ ...within, [limit]: UNBOUNDED });
      expect(wanted).toHaveProperty('program');
      for (const most of infinities)
        for (const least of [0, null, Number.NEGATIVE_INFINITY, '-Infinity', { __float__: '-Infinity' }])
          expect(put({ ...within, [limit]: [least, most] })).toEqual(wanted);
      const bounded = put({ ...within, [limit]: [0.25, 0.5] });
      expect(bounded).not.toEqual(wanted);
      for (const odd of [
        [0.5, 0.25],
        [-1, 1],
        [0, '1'],
        [0, Number.NaN],
        [0],
        [0, 1, 2],
        [0, -0.5],
        ['inf', 'inf'],
        7,
      ])
        expect(put({ ...within, [limit]: odd })).toEqual({ refused: expect.stringContaining(limit) });
    });
});

test('the kinds of layers under the name that Bamba gives them', () => {
  const { config, tensors } = loadFixture('granite-hybrid');
  const { layer_types, ...others } = config;
  expect(outcome({ ...others, layers_block_type: layer_types! }, tensors)).toEqual(outcome(config, tensors));
  expect(outcome({ ...others, layers_block_type: ['mamba'] }, tensors)).toEqual({
    refused: expect.stringContaining('layers_block_type must be'),
  });
});

test('experts that the config does not count are refused by its field', () => {
  const { config, tensors } = loadFixture('granite-hybrid');
  const { num_local_experts: _, ...others } = config;
  expect(outcome(others, tensors)).toHaveProperty('program');
  const name = 'model.layers.0.block_sparse_moe.router.layer.weight';
  const more = new Map(tensors).set(name, { dtype: 'F32', shape: [8, 64], values: new Float32Array(0) });
  expect(outcome(others, more)).toEqual({ refused: expect.stringContaining('num_local_experts') });
});
