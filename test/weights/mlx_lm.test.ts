import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { JsonObject } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { convertCheckpoint } from '../../src/weights/convert.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { relativeError } from '../helpers/compare.ts';
import { loadFixture } from '../helpers/fixtures.ts';
import { Random } from '../helpers/random.ts';
import { json } from './changed_fixture.ts';
import { expectError, files } from './files.ts';
import { check, fuzz, LONG, load, SCALE } from './fuzz.ts';
import { loadedLogits } from './loaded.ts';
import { type Affine, asMlxLm, type Dtype, type MlxLm } from './mlx_lm_file.ts';
import { editHeader, editJson } from './mutate.ts';
import {
  floatsOf,
  IDS,
  inShards,
  type RawFixture,
  type RawTensor,
  rawFixture,
  safetensors,
} from './reexport.ts';

const NAMES = ['mamba2-a', 'mamba2-c-untied-f16', 'granite-hybrid', 'falcon-h1-multipliers'];

/** The folder that mlx-lm writes. */
async function folder({ config, tensors }: Pick<MlxLm, 'config' | 'tensors'>) {
  return files({
    'model.safetensors': await safetensors(tensors, { format: 'mlx' }),
    'config.json': json(config),
  });
}

/** Logits of a folder, and of the float64 reference on the values that it stands for. */
async function both(model: MlxLm): Promise<{ found: Float32Array; wanted: Float32Array }> {
  const { config, tensors } = model.plain;
  const floats = files({ 'model.safetensors': await safetensors(tensors), 'config.json': json(config) });
  return {
    found: await loadedLogits(await folder(model), IDS, { last: 3 }),
    wanted: await loadedLogits(floats, IDS, { last: 3, backend: reference }),
  };
}

/** A Falcon-H1 whose head is its embedding. */
function tied({ config, configBytes, tensors }: RawFixture): RawFixture {
  const { 'lm_head.weight': _, ...rest } = tensors;
  return { config: { ...config, tie_word_embeddings: true }, configBytes, tensors: rest };
}

/** A Mamba-2 of one layer, as small as groups of 32 allow. */
function small(): Pick<RawFixture, 'config' | 'tensors'> {
  const random = new Random('mlx-lm');
  const at = 'backbone.layers.0';
  const shapes: Record<string, number[]> = {
    'backbone.embeddings.weight': [16, 32],
    'backbone.norm_f.weight': [32],
    [`${at}.norm.weight`]: [32],
    [`${at}.mixer.in_proj.weight`]: [32 + 40 + 2, 32],
    [`${at}.mixer.conv1d.weight`]: [40, 1, 4],
    [`${at}.mixer.conv1d.bias`]: [40],
    [`${at}.mixer.dt_bias`]: [2],
    [`${at}.mixer.A_log`]: [2],
    [`${at}.mixer.D`]: [2],
    [`${at}.mixer.norm.weight`]: [32],
    [`${at}.mixer.out_proj.weight`]: [32, 32],
  };
  const tensors = Object.entries(shapes).map(([name, shape]): [string, RawTensor] => {
    const length = shape.reduce((a, b) => a * b);
    const { buffer } = Float32Array.from({ length }, () => random.below(65) / 64 - 0.5);
    return [name, { dtype: 'F32', shape, data: new Uint8Array(buffer) }];
  });
  const config: JsonObject = {
    ...{ model_type: 'mamba2', hidden_size: 32, num_hidden_layers: 1, vocab_size: 16, conv_kernel: 4 },
    ...{ state_size: 4, n_groups: 1, num_heads: 2, head_dim: 16, expand: 1, tie_word_embeddings: true },
  };
  return { config, tensors: Object.fromEntries(tensors) };
}

const FALCON = rawFixture('falcon-h1-multipliers');

describe('folders of mlx-lm', () => {
  test.each(NAMES)('%s in f32: the published logits', async (name) => {
    const { expected } = loadFixture(name);
    const idsOf = (key: string) => expected.get(key.replace('.logits', '.ids'))!.values;
    const logits = [...expected].filter(([key]) => key.endsWith('.logits'));
    const [key, wanted] = logits.sort(([a], [b]) => idsOf(b).length - idsOf(a).length)[0]!;
    const ids = idsOf(key);
    const model = asMlxLm(rawFixture(name), 'F32');
    const found = await loadedLogits(await folder(model), ids, { last: wanted.shape[0]! });
    expect(relativeError(found, wanted.values)).toBeLessThanOrEqual(1e-4);
  });

  const CASES: [Dtype, Affine | null][] = [
    ['F16', null],
    ['BF16', null],
    ['F16', { bits: 4, group: 32 }],
    ['BF16', { bits: 4, group: 64 }],
    ['BF16', { bits: 8, group: 64 }],
    ['F32', { bits: 8, group: 128 }],
  ];
  const three = NAMES.filter((name) => name !== 'mamba2-c-untied-f16');
  test.each(three.flatMap((name) => CASES.map(([dtype, affine]) => [name, dtype, affine] as const)))(
    '%s, %s, %o: what the values that it stands for give',
    async (name, dtype, affine) => {
      const { found, wanted } = await both(asMlxLm(rawFixture(name), dtype, affine));
      expect(relativeError(found, wanted)).toBeLessThanOrEqual(1e-4);
    },
  );

  test.each([2, 3, 5, 6])('%i bits: as codes of 4 or 8, every value the same', async (bits) => {
    const model = asMlxLm(rawFixture('granite-hybrid'), 'F16', { bits, group: 32 });
    const checkpoint = await openCheckpoint(await folder(model));
    const name = 'model.layers.0.mamba.in_proj.weight';
    const tensor = checkpoint.tensors.get(name)!;
    expect(tensor).toMatchObject({
      dtype: `MLX ${bits} bits`,
      format: { bits: bits < 4 ? 4 : 8, group: 32 },
    });
    const wanted = floatsOf(model.plain.tensors[name]!);
    expect(toF32(await tensor.read(0, tensor.rows))).toEqual(wanted);
    expect(toF32(await tensor.read(5, 3))).toEqual(wanted.subarray(5 * tensor.cols, 8 * tensor.cols));
    const { found, wanted: logits } = await both(model);
    expect(relativeError(found, logits)).toBeLessThanOrEqual(1e-4);
  });

  test('a head that is the quantized embedding, and modules with bits of their own', async () => {
    const own = { 'model.layers.0.mamba.in_proj': { bits: 8, group: 32 } };
    for (const affine of [null, { bits: 4, group: 64 }]) {
      const model = asMlxLm(tied(FALCON), 'BF16', affine, affine ? own : {});
      const { found, wanted } = await both(model);
      expect(relativeError(found, wanted)).toBeLessThanOrEqual(1e-4);
    }
  });

  test('codes and scales that lie in different shards', async () => {
    const model = asMlxLm(FALCON, 'F16', { bits: 4, group: 32 });
    const shards = await inShards(model.tensors, ['model', 'safetensors'], (part) =>
      safetensors(part, { format: 'mlx' }),
    );
    const split = files({ ...shards, 'config.json': json(model.config) });
    const whole = await loadedLogits(await folder(model), IDS);
    expect(await loadedLogits(split, IDS)).toEqual(whole);
  });

  test.each(NAMES)('%s, converted to our own container: the same logits, bit for bit', async (name) => {
    for (const affine of [null, { bits: 4, group: 64 }]) {
      const set = await folder(asMlxLm(rawFixture(name), 'BF16', affine));
      const checkpoint = await openCheckpoint(set);
      const parts: Uint8Array[] = [];
      for await (const chunk of convertCheckpoint(checkpoint, new Map())) parts.push(chunk.slice());
      const file = new Uint8Array(Buffer.concat(parts));
      expect(checkpoint.config).not.toHaveProperty('quantization');
      const wanted = await loadedLogits(set, IDS);
      expect(await loadedLogits(files({ 'model.safetensors': file }), IDS)).toEqual(wanted);
      const beside = json(checkpoint.config);
      const both = files({ 'model.safetensors': file, 'config.json': beside });
      expect(await loadedLogits(both, IDS)).toEqual(wanted);
    }
  });

  test('what is not read or damaged is named', async () => {
    const model = asMlxLm(rawFixture('mamba2-a'), 'F16', { bits: 4, group: 32 });
    const open = async (quantization: JsonObject | null, changed: object = {}) => {
      const tensors = Object.entries({ ...model.tensors, ...changed }).filter(([, tensor]) => tensor);
      const config = { ...rawFixture('mamba2-a').config, ...(quantization && { quantization }) };
      return openCheckpoint(await folder({ config, tensors: Object.fromEntries(tensors) }));
    };
    const q = { group_size: 32, bits: 4 };
    const module = 'backbone.layers.0.mixer.in_proj';
    await open(q);
    for (const mode of ['mxfp4', 'nvfp4', 'mxfp8'])
      await expectError(() => open({ ...q, mode }), 'UNSUPPORTED_MODEL', `MLX, ${mode}, 4 bits`, /float/);
    await expectError(
      () => open({ ...q, [module]: { group_size: 16, bits: 4, mode: 'nvfp4' } }),
      'UNSUPPORTED_MODEL',
      module,
      /nvfp4/,
    );
    await expectError(() => open({ ...q, bits: 8 }), 'INVALID_FILE', /codes of 8 bits/);
    await expectError(() => open({ ...q, group_size: 48 }), 'INVALID_FILE', /groups of 32, 64 or 128/);
    await expectError(() => open({ ...q, bits: 'four' }), 'INVALID_FILE', /numbers for group_size and bits/);
    await expectError(() => open(q, { [`${module}.scales`]: null }), 'INVALID_FILE', /'.*in_proj.scales'/);
    await expectError(() => open(q, { [`${module}.biases`]: null }), 'INVALID_FILE', /no biases/);
    await expectError(() => open(q, { [`${module}.weight`]: null }), 'INVALID_FILE', /'.*in_proj.weight'/);
    await expectError(() => open(null), 'UNSUPPORTED_MODEL', /does not name/, /mlx-lm/);
    await open({ ...q, lm_head: false });
    for (const bias of ['mlp_bias', 'attention_bias']) {
      const { config, tensors } = asMlxLm(FALCON, 'F16');
      const set = await folder({ config: { ...config, [bias]: true }, tensors });
      await expectError(() => loadedLogits(set, IDS), 'UNSUPPORTED_MODEL', bias); // mlx-lm folds none
    }
  });

  test(`${SCALE},000 mutants, half of them of FP8`, LONG, async () => {
    const { config, tensors } = small();
    const mlx = asMlxLm({ config, tensors }, 'F16', { bits: 3, group: 32 });
    const name = 'backbone.layers.0.mixer.in_proj.weight';
    const [rows, cols] = tensors[name]!.shape as [number, number];
    const scales = new Uint8Array(4 * Math.ceil(rows / 16) * 2).fill(62);
    const fp8 = {
      ...tensors,
      [name]: { dtype: 'F8_E4M3', shape: [rows, cols], data: new Uint8Array(rows * cols).fill(56) },
      [`${name}_scale_inv`]: { dtype: 'F32', shape: [Math.ceil(rows / 16), 2], data: scales },
    };
    const quantization_config = { quant_method: 'fp8', weight_block_size: [16, 16] };
    const folders = [
      { config: json(mlx.config), file: await safetensors(mlx.tensors, { format: 'mlx' }) },
      { config: json({ ...config, quantization_config }), file: await safetensors(fp8) },
    ];
    for (const { config, file } of folders) await load({ 'model.safetensors': file, 'config.json': config });
    const tally = await fuzz('mlx-lm', 1000 * SCALE, (random) => {
      const { config, file } = folders[random.below(2)]!;
      return {
        'model.safetensors': random.below(3) ? editHeader(file, random) : file,
        'config.json': random.below(3) ? config : editJson(config, random),
      };
    });
    check(tally, 250 * SCALE);
  });
});
