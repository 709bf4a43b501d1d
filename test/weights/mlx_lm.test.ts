import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { JsonObject } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { convertCheckpoint } from '../../src/weights/convert.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { stringifyJson } from '../../src/weights/json.ts';
import { relativeError } from '../helpers/compare.ts';
import { loadFixture } from '../helpers/fixtures.ts';
import { expectError, files } from './files.ts';
import { loadedLogits } from './loaded.ts';
import { type Affine, asMlxLm, type Dtype, type MlxLm } from './mlx_lm_file.ts';
import { floatsOf, IDS, inShards, type RawFixture, rawFixture, safetensors } from './reexport.ts';

const json = (value: JsonObject) => new TextEncoder().encode(stringifyJson(value)); // Infinity stays
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

const FALCON = rawFixture('falcon-h1-multipliers');

describe('folders of mlx-lm', () => {
  test.each(NAMES)('%s in f32: the published logits', async (name) => {
    const { expected } = loadFixture(name);
    const [key, wanted] = [...expected].find(([key]) => key.endsWith('.logits'))!;
    const ids = expected.get(key.replace('.logits', '.ids'))!.values;
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
  test.each(NAMES.flatMap((name) => CASES.map(([dtype, affine]) => [name, dtype, affine] as const)))(
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
  });
});
