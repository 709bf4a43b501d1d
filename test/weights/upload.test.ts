import { describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { UPLOAD_ROWS } from '../../src/backends/types.ts';
import { EdgeError } from '../../src/errors.ts';
import { openFileSet } from '../../src/io/fileset.ts';
import type { QuantTensor, Tensor, WeightSink } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { exp } from '../../src/weights/math.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import { Q4, Q8, roundToNearest } from '../../src/weights/quantize.ts';
import { type UploadOptions, uploadWeights } from '../../src/weights/upload.ts';
import { FIXTURES, fixtureFolder, loadFixture } from '../helpers/fixtures.ts';
import { expectError, files, json, simpleSafetensors } from './files.ts';

type Quantize = Parameters<typeof weightFormats>[3];

async function open(name: string, quantize?: Quantize) {
  const checkpoint = await openCheckpoint(await openFileSet(fixtureFolder(name)));
  const { sources, program } = findArchitecture(checkpoint.config).read(
    checkpoint.config,
    checkpoint.tensors,
  );
  const { weights } = program({ chunk: 64, maxContext: 512 });
  return { checkpoint, sources, weights, plan: weightFormats(checkpoint, sources, weights, quantize) };
}

/** Everything uploaded, its blocks joined again. */
async function uploaded(model: Awaited<ReturnType<typeof open>>, options: Partial<UploadOptions> = {}) {
  const { checkpoint, sources, weights, plan } = model;
  const blocks = new Map<string, Tensor[]>();
  const filled = new Map<string, number>();
  await uploadWeights(
    checkpoint,
    sources,
    weights,
    plan.formats,
    (name) => ({
      put(row, tensor) {
        expect(row).toBe(filled.get(name) ?? 0);
        const total = weights[name]!.shape.slice(0, -1).reduce((a, b) => a * b, 1);
        expect(tensor.rows % UPLOAD_ROWS === 0 || row + tensor.rows === total).toBe(true);
        expect(tensor.cols).toBe(weights[name]!.shape.at(-1));
        expect(tensor.format).toEqual(plan.formats[name]);
        filled.set(name, row + tensor.rows);
        blocks.set(name, [...(blocks.get(name) ?? []), tensor]);
      },
    }),
    { blockRows: UPLOAD_ROWS, ...options },
  );
  for (const [name, { shape }] of Object.entries(weights))
    expect(filled.get(name)).toBe(shape.slice(0, -1).reduce((a, b) => a * b, 1));
  return blocks;
}

describe('uploadWeights', () => {
  test.each(FIXTURES)('%s unquantized: every value is the stored one', async (name) => {
    const model = await open(name, 'none');
    const fixture = loadFixture(name);
    for (const [weight, blocks] of await uploaded(model)) {
      const { tensor, transform, multipliers } = model.sources[weight]!;
      const stored = fixture.tensors.get(tensor)!;
      const factors = multipliers?.flatMap(({ rows, by }) => Array.from({ length: rows }, () => by));
      const width = stored.values.length / (factors?.length ?? 1);
      const wanted = [...stored.values].map((x, i) => {
        if (factors) return Math.fround(x * Math.fround(factors[Math.floor(i / width)]!));
        return transform ? Math.fround(-exp(x)) : x;
      });
      expect(blocks.flatMap((block) => [...toF32(block)])).toEqual(wanted);
      const { role } = model.weights[weight]!;
      const f16 = role === 'linear' && stored.dtype === 'F16';
      expect(model.plan.formats[weight]).toEqual({ kind: 'float', dtype: f16 ? 'f16' : 'f32' });
    }
    await model.checkpoint.close();
  });

  test('quantized, in blocks of any size: the same codes', async () => {
    for (const [quantize, format] of [
      ['q4', Q4],
      ['q8', Q8],
    ] as const) {
      const model = await open('rene-b-f16', quantize);
      const fixture = loadFixture('rene-b-f16');
      const coarse = await uploaded(model);
      const fine = await uploaded(model, { blockBytes: 1 });
      for (const [weight, blocks] of fine) {
        const { shape, role } = model.weights[weight]!;
        if (role === 'vector') continue;
        const values = Float32Array.from(fixture.tensors.get(model.sources[weight]!.tensor)!.values);
        const whole = roundToNearest(values, shape[0]!, shape[1]!, format);
        for (const part of [blocks, coarse.get(weight)!] as QuantTensor[][]) {
          expect(part.flatMap(({ q }) => [...q])).toEqual([...whole.q]);
          expect(part.flatMap(({ scale }) => [...scale])).toEqual([...whole.scale]);
        }
        expect(blocks.length).toBe(Math.ceil(shape[0]! / UPLOAD_ROWS));
      }
      await model.checkpoint.close();
    }
  });

  test('progress rises to the number of bytes', async () => {
    const model = await open('nano');
    const seen: number[] = [];
    await uploaded(model, {
      blockBytes: 4096,
      onProgress: (loaded, total) => {
        expect(total).toBe(model.plan.bytes);
        seen.push(loaded);
      },
    });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(model.plan.bytes);
    await model.checkpoint.close();
  });

  test('an abort between blocks ends it; reads from memory let timers run', async () => {
    const weights = { w: { shape: [64 * 200, 1024], role: 'linear' } } as const;
    const model = simpleSafetensors({ w: { dtype: 'F32', shape: [64 * 200, 1024] } });
    const checkpoint = await openCheckpoint(files({ 'model.safetensors': model, 'config.json': json({}) }));
    const controller = new AbortController();
    let blocks = 0;
    setTimeout(() => controller.abort('enough'), 0);
    await expectError(
      () =>
        uploadWeights(
          checkpoint,
          { w: { tensor: 'w' } },
          weights,
          { w: Q8 },
          () => ({ put: () => void blocks++ }),
          {
            blockRows: 64,
            blockBytes: 1,
            signal: controller.signal,
          },
        ),
      'ABORTED',
    );
    expect(blocks).toBeGreaterThan(0);
    expect(blocks).toBeLessThan(200);
  });

  test('an error of the receiver or of a read comes out, and nothing is left unhandled', async () => {
    const model = await open('nano');
    const { checkpoint, sources, weights, plan } = model;
    const refuse: WeightSink = {
      put() {
        throw new EdgeError('OUT_OF_MEMORY', 'full');
      },
    };
    await expectError(
      () => uploadWeights(checkpoint, sources, weights, plan.formats, () => refuse, { blockRows: 64 }),
      'OUT_OF_MEMORY',
    );
    await checkpoint.close();
    await expectError(
      () =>
        uploadWeights(checkpoint, sources, weights, plan.formats, () => ({ put() {} }), { blockRows: 64 }),
      'INVALID_FILE',
      /model\.safetensors/,
    );
  });
});

describe('weightFormats', () => {
  const checkpointOf = (tensors: Parameters<typeof simpleSafetensors>[0]) =>
    openCheckpoint(files({ 'model.safetensors': simpleSafetensors(tensors), 'config.json': json({}) }));
  const w = { w: { tensor: 'W' } };
  const linear = (...shape: number[]) => ({ w: { shape, role: 'linear' as const } });

  test('defaults to 8 bits for small models; counts shared tensors once', async () => {
    const { plan, checkpoint } = await open('nano');
    expect(plan.formats['layers.0.in_proj']).toEqual(Q8);
    expect(plan.formats['layers.0.A']).toEqual({ kind: 'float', dtype: 'f32' });
    expect(plan.parameters).toBe(414_966);
    await checkpoint.close();
    const shared = await checkpointOf({ W: { dtype: 'F32', shape: [4, 8] } });
    const both = { a: { tensor: 'W' }, b: { tensor: 'W' } };
    const specs = { a: linear(4, 8).w, b: linear(4, 8).w };
    expect(weightFormats(shared, both, specs).parameters).toBe(32);
  });

  test('defaults to 4 bits from 200 M parameters', async () => {
    const checkpoint = await checkpointOf({ W: { dtype: 'F32', shape: [4, 8] } });
    const large = { ...checkpoint.tensors.get('W')!, rows: 25_000, cols: 8000, shape: [25_000, 8000] };
    const pretended = { ...checkpoint, tensors: new Map([['W', large]]) };
    expect(weightFormats(pretended, w, linear(25_000, 8000)).formats.w).toEqual(Q4);
  });

  test('shapes may differ by dimensions of 1, by nothing else', async () => {
    const checkpoint = await checkpointOf({
      W: { dtype: 'F32', shape: [6, 1, 4] },
      V: { dtype: 'F32', shape: [1, 3] },
    });
    weightFormats(checkpoint, w, linear(6, 4));
    weightFormats(checkpoint, { w: { tensor: 'V' } }, { w: { shape: [3], role: 'vector' } });
    weightFormats(checkpoint, { w: { tensor: 'V' } }, { w: { shape: [3, 1], role: 'vector' } });
    for (const shape of [[4, 6], [6, 5], [24], [6, 2, 2]])
      await expectError(
        () => weightFormats(checkpoint, w, linear(...shape)),
        'INVALID_FILE',
        /model\.safetensors/,
        /'W'/,
        `[${shape}]`,
        /found \[6,1,4\]/,
      );
    await expectError(
      () => weightFormats(checkpoint, { w: { tensor: 'X' } }, linear(6, 4)),
      'INVALID_FILE',
      /'X'/,
    );
  });

  test('a column and a row of 1 arrive in the shape of the program', async () => {
    const checkpoint = await checkpointOf({ V: { dtype: 'F32', shape: [5, 1, 1] } });
    for (const [shape, rows, cols] of [
      [[5, 1], 5, 1],
      [[1, 5], 1, 5],
      [[5], 1, 5],
    ] as const) {
      const found: Tensor[] = [];
      await uploadWeights(
        checkpoint,
        { w: { tensor: 'V' } },
        { w: { shape, role: 'vector' } },
        { w: { kind: 'float', dtype: 'f32' } },
        () => ({ put: (_, tensor) => void found.push(tensor) }),
        { blockRows: 64 },
      );
      expect(found).toMatchObject([{ rows, cols }]);
    }
  });

  test('a dtype without reader is refused', async () => {
    const checkpoint = await checkpointOf({ W: { dtype: 'I64', shape: [4, 8] } });
    await expectError(() => weightFormats(checkpoint, w, linear(4, 8)), 'UNSUPPORTED_MODEL', /'W'/, /I64/);
  });
});
