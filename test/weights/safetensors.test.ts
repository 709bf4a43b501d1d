import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readSafetensorsHeader, safetensorsChunks } from '../../src/weights/safetensors.ts';
import { FIXTURES, fixtureFolder } from '../helpers/fixtures.ts';
import { sharedData } from '../helpers/provided.ts';
import { parseSafetensors } from '../helpers/safetensors.ts';
import { expectError, rawSafetensors, simpleSafetensors, source } from './files.ts';

const read = (bytes: Uint8Array) => readSafetensorsHeader(source(bytes));
const refuse = (bytes: Uint8Array, ...patterns: RegExp[]) =>
  expectError(() => read(bytes), 'INVALID_FILE', /model\.safetensors/, ...patterns);
const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown) =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

describe('safetensors header', () => {
  test.each(FIXTURES)('reads %s', async (name) => {
    for (const file of ['model.safetensors', 'expected.safetensors']) {
      const bytes = readFileSync(`${fixtureFolder(name)}/${file}`);
      const { entries } = await read(bytes);
      const trusted = parseSafetensors(bytes);
      expect([...entries.keys()].sort()).toEqual([...trusted.keys()].sort());
      for (const [tensor, { dtype, shape }] of entries)
        expect({ dtype, shape }).toEqual({
          dtype: trusted.get(tensor)!.dtype,
          shape: trusted.get(tensor)!.shape,
        });
    }
  });

  test('reads metadata, zero-size tensors, scalars, unknown dtypes, and padding', async () => {
    const { metadata, entries } = await read(
      rawSafetensors(
        `{"__metadata__":{"a":"b"},"none":${entry('F32', [0, 5], 0, 0)},"one":${entry('F32', [], 0, 4)},"new":${entry('F6_X', [8], 4, 10)}}   `,
        10,
      ),
    );
    expect(metadata).toEqual({ a: 'b' });
    expect([...entries.keys()]).toEqual(['none', 'one', 'new']);
    expect((await read(rawSafetensors('{}', 0))).entries.size).toBe(0);
  });

  test('a file whose padding is not counted in its header is refused, as the published reader does', async () => {
    const whole = simpleSafetensors({ a: { dtype: 'F32', shape: [64, 128] } });
    await read(whole);
    const padded = new Uint8Array([...whole, 0, 0, 0, 0, 0]);
    await refuse(padded, new RegExp(`end at byte ${whole.length}, the file has ${whole.length + 5}`));
  });

  test('such a file of another maker', async (context) => {
    const bytes = readFileSync(sharedData(context, 'data/model-files/tiny.safetensors'));
    await refuse(bytes, /end at byte 32851, the file has 32856/);
    // Without the five stray bytes it is a file.
    const { entries } = await read(bytes.subarray(0, 32851));
    expect(entries.get('test.weight.0')).toMatchObject({
      dtype: 'F32',
      shape: [64, 128],
      begin: 83,
      end: 32851,
    });
  });

  test('truncated anywhere', async () => {
    const whole = simpleSafetensors({ a: { dtype: 'F32', shape: [3, 4] }, b: { dtype: 'F16', shape: [5] } });
    await read(whole);
    for (let length = 0; length < whole.length; length++) await refuse(whole.subarray(0, length));
    await refuse(new Uint8Array([...whole, 0]), /tensors end at byte/);
  });

  test('lying header length', async () => {
    for (const length of [0, 1, 3, 5000, 2 ** 31, 2 ** 53, 2n ** 63n, 2n ** 64n - 1n])
      await refuse(rawSafetensors(`{"a":${entry('U8', [4], 0, 4)}}`, 4, length));
  });

  test('lying offsets', async () => {
    const one = (begin: unknown, end: unknown) => rawSafetensors(`{"a":${entry('U8', [4], begin, end)}}`, 4);
    await read(one(0, 4));
    await refuse(one(0, 5), /'a'/, /4 bytes/);
    await refuse(one(4, 0), /'a'/);
    await refuse(one(-4, 0), /data_offsets/);
    await refuse(one(0, 4.5), /data_offsets/);
    await refuse(one('0', '4'), /data_offsets/);
    await refuse(one(0, 2 ** 60), /data_offsets/);
    await refuse(one(1, 5), /'a'/);
    await refuse(one(null, 4), /data_offsets/);
    await refuse(
      rawSafetensors('{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}', 4),
      /data_offsets/,
    );
    await refuse(rawSafetensors('{"a":{"dtype":"U8","shape":[4]}}', 4), /data_offsets/);
  });

  test('overlaps and gaps', async () => {
    const two = (b: [number, number], c: [number, number]) =>
      rawSafetensors(`{"b":${entry('U8', [b[1] - b[0]], ...b)},"c":${entry('U8', [c[1] - c[0]], ...c)}}`, 8);
    await read(two([0, 4], [4, 8]));
    await read(two([4, 8], [0, 4]));
    await refuse(two([0, 5], [4, 8]), /without gap or overlap/);
    await refuse(two([0, 8], [0, 8]), /without gap or overlap/);
    await refuse(two([0, 3], [4, 8]), /without gap or overlap/);
    await refuse(two([1, 4], [4, 8]), /without gap or overlap/);
    await refuse(two([0, 4], [4, 7]), /tensors end/);
  });

  test('absurd shapes never overflow', async () => {
    for (const shape of [
      [2 ** 60],
      [2 ** 32, 2 ** 32],
      [2 ** 31, 2 ** 31, 4],
      [2 ** 52, 2],
      [65536, 65536, 65536, 65536], // 2^64 ≡ 0
      [-1],
      [1.5],
      ['4'],
      [null],
      Array(9).fill(1),
      4,
      null,
    ])
      await refuse(rawSafetensors(`{"a":${entry('U8', shape, 0, 4)}}`, 4), /'a'/);
    await refuse(
      rawSafetensors('{"a":{"dtype":"U8","shape":[1152921504606846976],"data_offsets":[0,0]}}', 0),
      /shape/,
    );
    await refuse(rawSafetensors(`{"a":${entry('F32', [2 ** 51, 0, 3], 0, 4)}}`, 4), /takes 0 bytes/);
  });

  test('wrong sizes for the dtype', async () => {
    for (const dtype of ['F64', 'F32', 'F16', 'BF16', 'I64', 'BOOL'])
      await refuse(rawSafetensors(`{"a":${entry(dtype, [3], 0, 7)}}`, 7), new RegExp(`${dtype} \\[3\\]`));
    await refuse(rawSafetensors(`{"a":{"dtype":7,"shape":[1],"data_offsets":[0,1]}}`, 1), /dtype/);
  });

  test('duplicate names, deep and huge JSON, long names, no object, no UTF-8', async () => {
    const a = entry('U8', [4], 0, 4);
    await refuse(rawSafetensors(`{"a":${a},"a":${a}}`, 4), /'a' occurs twice/);
    await refuse(rawSafetensors(`{"a":${a},"\\u0061":${a}}`, 4), /occurs twice/);
    await refuse(rawSafetensors('{"__metadata__":{},"__metadata__":{}}', 0), /occurs twice/);
    await refuse(rawSafetensors(`{"a":${'['.repeat(100_000)}`, 0), /deeper/);
    await refuse(rawSafetensors(`{"${'n'.repeat(513)}":${a}}`, 4), /1 to 512 characters/);
    await refuse(rawSafetensors(`{"":${a}}`, 4), /1 to 512 characters/);
    await refuse(rawSafetensors(`[${a}]`, 4), /object/);
    await refuse(rawSafetensors('{"a":3}', 0), /dtype/);
    await refuse(rawSafetensors('{"__metadata__":{"a":1}}', 0), /strings/);
    await refuse(rawSafetensors('{"__metadata__":[]}', 0), /object of strings/);
    await refuse(rawSafetensors(`{"x":"${' '.repeat(33 * 2 ** 20)}"}`, 0), /at most/);
    const many = Array.from({ length: 65_537 }, (_, i) => `"${i}":${entry('U8', [0], 0, 0)}`);
    await refuse(rawSafetensors(`{${many}}`, 0), /65537 tensors/);
    const damaged = rawSafetensors(`{"a":${a}}`, 4);
    damaged[10] = 0xff;
    await refuse(damaged, /UTF-8/);
  });
});

describe('safetensors writer', () => {
  test('what is written is read back, aligned, whatever the sizes', async () => {
    const data = (n: number, seed: number) => Uint8Array.from({ length: n }, (_, i) => (i * 7 + seed) & 255);
    const pieces = [
      { name: 'odd', dtype: 'U8', shape: [3, 5], data: data(15, 1) },
      { name: 'half', dtype: 'F16', shape: [3], data: data(6, 2) },
      { name: 'float', dtype: 'F32', shape: [3], data: data(12, 3) },
      { name: 'long', dtype: 'I64', shape: [1], data: data(8, 4) },
      { name: 'empty', dtype: 'F32', shape: [0], data: data(0, 5) },
      {
        name: 'streamed',
        dtype: 'U8',
        shape: [9],
        data: async function* () {
          yield data(9, 6).subarray(0, 4);
          yield data(9, 6).subarray(4);
        },
      },
    ];
    const chunks: Uint8Array[] = [];
    for await (const chunk of safetensorsChunks({ format: 'pt', 'key "é"': 'value' }, pieces))
      chunks.push(chunk);
    const file = new Uint8Array(Buffer.concat(chunks));
    const { metadata, entries } = await read(file);
    expect(metadata).toEqual({ format: 'pt', 'key "é"': 'value' });
    const size: Record<string, number> = { U8: 1, F16: 2, F32: 4, I64: 8 };
    for (const [index, { name, dtype, shape }] of pieces.entries()) {
      const found = entries.get(name)!;
      expect(found).toMatchObject({ dtype, shape });
      expect(found.begin % size[dtype]!).toBe(0);
      const length = found.end - found.begin;
      expect([...file.subarray(found.begin, found.end)]).toEqual([...data(length, index + 1)]);
    }
  });

  test('a tensor of the wrong length is a defect, not a file', () =>
    expectError(
      async () => {
        for await (const _ of safetensorsChunks({}, [
          { name: 'a', dtype: 'F32', shape: [2], data: new Uint8Array(7) },
        ]));
      },
      'INTERNAL',
      /8 bytes, 7 came/,
    ));
});
