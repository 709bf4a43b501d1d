import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openFileSet } from '../../src/io/fileset.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { convertCheckpoint } from '../../src/weights/convert.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { Q4, Q8, roundToNearest } from '../../src/weights/quantize.ts';
import { FIXTURES, fixtureFolder, loadFixture } from '../helpers/fixtures.ts';
import { expectError, files, json, rawSafetensors, simpleSafetensors } from './files.ts';

const F32 = (shape: number[]) => ({ dtype: 'F32', shape });
const weights = simpleSafetensors({ a: F32([2, 3]) });
const config = json({ model_type: 'x' });

describe('openCheckpoint', () => {
  test.each(FIXTURES)('%s: every tensor is exact', async (name) => {
    const checkpoint = await openCheckpoint(await openFileSet(fixtureFolder(name)));
    const { tensors } = loadFixture(name);
    expect([...checkpoint.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
    for (const [tensor, stored] of checkpoint.tensors) {
      const trusted = tensors.get(tensor)!;
      expect(stored.shape).toEqual(trusted.shape);
      expect(stored.rows * stored.cols).toBe(trusted.values.length);
      const half = Math.floor(stored.rows / 2);
      const parts = [await stored.read(0, half), await stored.read(half, stored.rows - half)];
      expect(parts.flatMap((part) => [...toF32(part)])).toEqual([...trusted.values]);
    }
    await checkpoint.close();
  });

  test('a path of one file serves its siblings', async () => {
    const folder = fixtureFolder('nano');
    const whole = await openCheckpoint(await openFileSet(folder));
    const one = await openCheckpoint(await openFileSet(`${folder}/model.safetensors`));
    expect(one.config).toEqual(whole.config);
    expect(one.tokenizer).toBe(readFileSync(`${folder}/tokenizer.json`, 'utf8'));
    expect(await one.fingerprint()).toBe(await whole.fingerprint());
    await Promise.all([one.close(), whole.close()]);
  });

  test('sidecars: tokenizer, its config, the generation config', async () => {
    const checkpoint = await openCheckpoint(
      files({
        'model.safetensors': weights,
        'config.json': config,
        'tokenizer.json': json({ é: 1 }),
        'tokenizer_config.json': json({ chat_template: 't' }),
        'generation_config.json': json({ eos_token_id: [2, 3] }),
      }),
    );
    expect(checkpoint).toMatchObject({
      tokenizer: '{"é":1}',
      tokenizerConfig: { chat_template: 't' },
      generationConfig: { eos_token_id: [2, 3] },
      metadata: {},
    });
    const template = new TextEncoder().encode('{{ messages }}\n');
    const bytes = { 'model.safetensors': weights, 'config.json': config, 'chat_template.jinja': template };
    const own = await openCheckpoint(
      files({ ...bytes, 'tokenizer_config.json': json({ chat_template: 't' }) }),
    );
    expect(own.tokenizerConfig).toEqual({ chat_template: '{{ messages }}\n' });
    expect((await openCheckpoint(files(bytes))).tokenizerConfig).toEqual(own.tokenizerConfig);
    const bare = await openCheckpoint(files({ 'any name.safetensors': weights, 'config.json': config }));
    expect(bare).toMatchObject({ tokenizer: null, tokenizerConfig: null, generationConfig: null });
  });

  test('shards with an index', async () => {
    const index = (map: unknown) => json({ metadata: {}, weight_map: map });
    const set = (map: unknown, more = {}) =>
      files({
        'config.json': config,
        'model.safetensors.index.json': index(map),
        'a.safetensors': weights,
        'b.safetensors': simpleSafetensors({ b: F32([4]) }),
        ...more,
      });
    const good = { a: 'a.safetensors', b: 'b.safetensors' };
    const checkpoint = await openCheckpoint(set(good));
    expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b']);
    const refuse = (map: unknown, code: 'INVALID_FILE' | 'NOT_FOUND', ...patterns: RegExp[]) =>
      expectError(() => openCheckpoint(set(map)), code, ...patterns);
    for (const outside of [
      '../a.safetensors',
      '/a.safetensors',
      'x/../../a.safetensors',
      '..\\a.safetensors',
      'C:a.safetensors',
      'http://h/a.safetensors',
      '..',
      '',
      7,
      null,
      'a\0.safetensors',
      'tokenizer.json',
    ])
      await refuse({ ...good, a: outside }, 'INVALID_FILE', /'a'/, /same folder/);
    await refuse({ ...good, c: 'c.safetensors' }, 'NOT_FOUND', /'c\.safetensors'/);
    await refuse({ ...good, c: 'b.safetensors' }, 'INVALID_FILE', /'c'/);
    await refuse({}, 'INVALID_FILE', /weight_map/);
    await refuse([], 'INVALID_FILE', /weight_map/);
    await expectError(
      () => openCheckpoint(set(good, { 'b.safetensors': weights })),
      'INVALID_FILE',
      /in both/,
    );
  });

  test('what is missing, ambiguous or not supported is named', async () => {
    const refuse = (
      contents: Record<string, Uint8Array>,
      code: Parameters<typeof expectError>[1],
      ...patterns: RegExp[]
    ) => expectError(() => openCheckpoint(files(contents)), code, ...patterns);
    await refuse({}, 'NOT_FOUND', /model\.safetensors/);
    await refuse({ 'config.json': config }, 'NOT_FOUND', /model\.safetensors/);
    await refuse({ 'model.safetensors': weights }, 'NOT_FOUND', /config\.json/);
    await refuse(
      { 'a.safetensors': weights, 'b.safetensors': weights, 'config.json': config },
      'INVALID_FILE',
      /a\.safetensors, b\.safetensors/,
    );
    await refuse({ 'pytorch_model.bin': weights, 'config.json': config }, 'INVALID_FILE', /PyTorch 1\.6/);
    await refuse({ 'model.safetensors': weights, 'config.json': json([1]) }, 'INVALID_FILE', /config\.json/);
    await refuse(
      { 'model.safetensors': weights, 'config.json': new Uint8Array([123]) },
      'INVALID_FILE',
      /config\.json/,
    );
    await refuse(
      { 'model.safetensors': weights, 'config.json': new Uint8Array(17 * 2 ** 20) },
      'INVALID_FILE',
      /at most/,
    );
    await refuse(
      {
        'model.safetensors': weights,
        'config.json': config,
        'generation_config.json': json([1]),
      },
      'INVALID_FILE',
      /generation_config\.json/,
    );
    await refuse(
      { 'model.safetensors': weights, 'config.json': config, 'tokenizer.json': new Uint8Array([255]) },
      'INVALID_FILE',
      /tokenizer\.json/,
    );
  });

  test('other dtypes are refused when they are read, not before', async () => {
    const checkpoint = await openCheckpoint(
      files({
        'model.safetensors': simpleSafetensors({ ids: { dtype: 'I64', shape: [2] } }),
        'config.json': config,
      }),
    );
    const ids = checkpoint.tensors.get('ids')!;
    expect(ids.format).toBeNull();
    await expectError(() => ids.read(0, 1), 'UNSUPPORTED_MODEL', /'ids'/, /I64/);
  });

  test('is aborted by its signal', async () => {
    const signal = AbortSignal.abort('enough');
    await expectError(
      () => openCheckpoint(files({ 'model.safetensors': weights, 'config.json': config }), { signal }),
      'ABORTED',
    );
  });

  test('the fingerprint knows config, names, shapes and data, not file names', async () => {
    const of = async (model: Uint8Array, cfg = config, file = 'model.safetensors') =>
      (await openCheckpoint(files({ [file]: model, 'config.json': cfg }))).fingerprint();
    const base = await of(weights);
    expect(base).toMatch(/^[0-9a-f]{32}$/);
    expect(await of(weights, config, 'other.safetensors')).toBe(base);
    expect(await of(weights, json({ model_type: 'y' }))).not.toBe(base);
    expect(await of(simpleSafetensors({ b: F32([2, 3]) }))).not.toBe(base);
    expect(await of(simpleSafetensors({ a: F32([3, 2]) }))).not.toBe(base);
    for (const at of [1, 24]) {
      const changed = weights.slice();
      changed[changed.length - at]! ^= 1;
      expect(await of(changed)).not.toBe(base);
    }
  });
});

describe('our container', () => {
  async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
    const all: Uint8Array[] = [];
    for await (const chunk of chunks) all.push(chunk.slice());
    return new Uint8Array(Buffer.concat(all));
  }

  test.each(['rene-b-f16', 'mamba2-c-untied-f16'])(
    '%s round trip: codes, scales and floats are kept',
    async (name) => {
      const from = await openCheckpoint(await openFileSet(fixtureFolder(name)));
      const matrices = [...from.tensors].filter(
        ([tensor, { rows }]) => rows > 1 && !tensor.includes('conv1d'),
      );
      const formats = new Map(matrices.map(([tensor], i) => [tensor, i % 2 ? Q4 : Q8]));
      const file = await bytesOf(convertCheckpoint(from, formats));
      const back = await openCheckpoint(files({ 'x.safetensors': file })); // the config is inside
      expect(back.config).toEqual(from.config);
      expect([...back.tensors.keys()].sort()).toEqual([...from.tensors.keys()].sort());
      for (const [tensor, stored] of back.tensors) {
        const original = from.tensors.get(tensor)!;
        const [found, source] = [await stored.read(0, stored.rows), await original.read(0, stored.rows)];
        const format = formats.get(tensor);
        expect(stored.shape.filter((n) => n > 1)).toEqual(original.shape.filter((n) => n > 1));
        expect(found).toEqual(
          format ? roundToNearest(toF32(source), stored.rows, stored.cols, format) : source,
        );
      }
      // Once more: what is quantized stays as it is, byte for byte.
      expect(Buffer.compare(await bytesOf(convertCheckpoint(back, new Map())), file)).toBe(0);
      await from.close();
    },
  );

  test('damage is named', async () => {
    const q = { bits: 4, group: 32, cols: 40 };
    const meta = (tensors: unknown, version = '1') => ({
      'edge_ssm.version': version,
      'edge_ssm.config': '{}',
      'edge_ssm.quantization': JSON.stringify({ tensors }),
    });
    const U8 = { dtype: 'U8', shape: [3, 20] };
    const scales = { dtype: 'F16', shape: [3, 2] };
    const open = (tensors: Parameters<typeof simpleSafetensors>[0], metadata: Record<string, string>) =>
      openCheckpoint(files({ 'model.safetensors': simpleSafetensors(tensors, metadata) }));
    const good = { 'w.weight': U8, 'w.scales': scales };
    const checkpoint = await open(good, meta({ 'w.weight': q }));
    expect([...checkpoint.tensors.keys()]).toEqual(['w.weight']);
    expect(checkpoint.tensors.get('w.weight')).toMatchObject({
      rows: 3,
      cols: 40,
      shape: [3, 40],
      format: Q4,
    });
    const refuse = (
      tensors: Parameters<typeof simpleSafetensors>[0],
      metadata: Record<string, string>,
      ...patterns: RegExp[]
    ) => expectError(() => open(tensors, metadata), 'INVALID_FILE', ...patterns);
    await refuse({ 'w.weight': U8 }, meta({ 'w.weight': q }), /w\.scales/);
    await refuse(good, meta({}), /'w\.weight'/, /quantization/);
    await refuse(good, meta({ 'w.weight': q, 'v.weight': q }), /'v\.weight'/);
    await refuse(good, meta({ 'w.weight': { ...q, cols: 41 } }), /\[3, 21\]/);
    await refuse(good, meta({ 'w.weight': { ...q, cols: 2 ** 60 } }), /'w\.weight'/);
    await refuse(good, meta({ 'w.weight': { ...q, group: 16 } }), /w\.scales/, /\[3, 3\]/);
    await refuse(good, meta({ 'w.weight': { ...q, bits: 3 } }), /bits 4 or 8/);
    await refuse(
      { ...good, 'w.biases': { dtype: 'F32', shape: [3, 2] } },
      meta({ 'w.weight': q }),
      /w\.biases/,
    );
    await refuse(
      { ...good, 'w.scales': { dtype: 'BF16', shape: [3, 2] } },
      meta({ 'w.weight': q }),
      /w\.scales/,
    );
    await refuse(good, { ...meta({}), 'edge_ssm.quantization': '[' }, /quantization/);
    await expectError(() => open(good, meta({ 'w.weight': q }, '2')), 'UNSUPPORTED_MODEL', /version '2'/);
  });

  test('a column of 1 and widths that fill no byte are read by rows', async () => {
    for (const cols of [1, 3, 33]) {
      const from = Float32Array.from({ length: 5 * cols }, (_, i) => (i % 7) - 3);
      const { q, scale } = roundToNearest(from, 5, cols, Q4);
      const tensors = {
        'w.scales': { dtype: 'F16', shape: [5, Math.ceil(cols / 32)] },
        'w.weight': { dtype: 'U8', shape: [5, Math.ceil(cols / 2)] },
      };
      const file = simpleSafetensors(tensors, {
        'edge_ssm.version': '1',
        'edge_ssm.config': '{}',
        'edge_ssm.quantization': JSON.stringify({ tensors: { 'w.weight': { bits: 4, group: 32, cols } } }),
      });
      file.set(new Uint8Array(scale.buffer), file.length - q.length - scale.byteLength);
      file.set(q, file.length - q.length);
      const stored = (await openCheckpoint(files({ 'model.safetensors': file }))).tensors.get('w.weight')!;
      for (let r = 0; r < 5; r++)
        expect(toF32(await stored.read(r, 1))).toEqual(
          toF32(roundToNearest(from.slice(r * cols, (r + 1) * cols), 1, cols, Q4)),
        );
    }
  });

  test('a file that shrinks while it is open is an INVALID_FILE', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-'));
    try {
      const path = join(folder, 'model.safetensors');
      writeFileSync(path, weights);
      writeFileSync(join(folder, 'config.json'), config);
      const checkpoint = await openCheckpoint(await openFileSet(path));
      writeFileSync(path, weights.subarray(0, weights.length - 8));
      await expectError(() => checkpoint.tensors.get('a')!.read(0, 2), 'INVALID_FILE', /model\.safetensors/);
      await checkpoint.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('an honest header over no data is refused before anything is allocated', () =>
    expectError(
      () =>
        openCheckpoint(
          files({
            'model.safetensors': rawSafetensors(
              '{"a":{"dtype":"F32","shape":[1000000000,1000],"data_offsets":[0,4000000000000]}}',
              0,
            ),
            'config.json': config,
          }),
        ),
      'INVALID_FILE',
      /'a'/,
    ));
});
