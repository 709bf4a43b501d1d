import { describe, expect, test } from 'vitest';
import type { ByteSource } from '../../src/io/types.ts';
import type { QuantTensor, Tensor, WeightFormat, WeightSink } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { Q4, Q8 } from '../../src/weights/quantize.ts';
import { quantStored, StoredBytes } from '../../src/weights/stored.ts';
import type { Checkpoint, StoredTensor } from '../../src/weights/types.ts';
import { uploadWeights } from '../../src/weights/upload.ts';
import { gguf } from './gguf_file.ts';

/** A file that can be read into memory of the caller's, as local ones in Node. */
function filling(bytes: Uint8Array): ByteSource {
  return {
    name: 'f',
    size: bytes.length,
    read: async (offset, length) => bytes.slice(offset, offset + length),
    readInto: async (offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
    close: async () => {},
  };
}

/** A sink with places for `sizes` bytes, which are overwritten once given back; it keeps copies of what it took. */
function placing(sizes: readonly number[]) {
  const free = sizes.map((bytes) => new Uint8Array(bytes));
  const taken: Tensor[] = [];
  const copies: boolean[] = []; // of each block: did it lie elsewhere?
  const partsOf = (tensor: Tensor) =>
    'q' in tensor
      ? tensor.blocks
        ? [tensor.blocks]
        : [tensor.q, tensor.scale, tensor.bias!].filter(Boolean)
      : [tensor.data];
  const take = (tensor: Tensor, place: Uint8Array | null) => {
    for (const { buffer } of partsOf(tensor)) expect(buffer === place?.buffer).toBe(place !== null);
    copies.push(place === null);
    taken.push(
      structuredClone(
        'q' in tensor ? { ...tensor, q: tensor.q, scale: tensor.scale, bias: tensor.bias } : tensor,
      ),
    );
  };
  const sink: WeightSink = {
    put: (_, tensor) => take(tensor, null),
    place(bytes) {
      const place = free.find(({ length }) => length >= bytes);
      if (!place) return null;
      free.splice(free.indexOf(place), 1);
      return {
        bytes: place,
        put(_, tensor) {
          take(tensor, place);
          place.fill(0xee);
          free.push(place);
        },
      };
    },
  };
  return { sink, taken, copies };
}

describe('places of a sink', () => {
  const ROWS = 300;
  const COLS = 128;
  const shape = [ROWS, COLS] as const;
  const noise = Uint8Array.from({ length: 2 ** 19 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 0x3f);
  const what = { name: 'w', file: 'f', dtype: 'codes', shape };

  function quantized(format: QuantTensor['format'], bf16 = false, source = filling(noise)): StoredTensor {
    const codes = (ROWS * COLS * format.bits) / 8;
    const numbers = ((ROWS * COLS) / format.group) * (bf16 || format.scaleDtype === 'f16' ? 2 : 4);
    const part = (begin: number, bytes: number) => new StoredBytes(source, begin, begin + bytes);
    const bias = format.hasBias ? part(codes + numbers, numbers) : null;
    return quantStored(what, format, { q: part(0, codes), scale: part(codes, numbers), bias }, bf16);
  }

  async function blocked(): Promise<StoredTensor> {
    const tensor = { name: 'w', ne: [COLS, ROWS], type: 2, data: noise.slice(0, (ROWS * COLS * 18) / 32) };
    const file = filling(gguf([['general.architecture', { string: 'other' }]], [tensor]));
    const set = {
      name: 'f.gguf',
      main: 'f.gguf',
      open: async (name: string) => (name === 'f.gguf' ? file : null),
      list: async () => null,
    };
    return (await openCheckpoint(set)).tensors.get('w')!;
  }

  const upload = (stored: StoredTensor, format: WeightFormat, sink: WeightSink, multiplied = false) =>
    uploadWeights(
      { tensors: new Map([['w', stored]]) } as unknown as Checkpoint,
      { w: { tensor: 'w', ...(multiplied && { multipliers: [{ rows: ROWS, by: 2 }] }) } },
      { w: { shape, role: 'linear' } },
      { w: format },
      () => sink,
      { blockRows: 64, blockBytes: 1 },
    );

  const cases: [string, () => StoredTensor | Promise<StoredTensor>][] = [
    ['q4', () => quantized(Q4)],
    ['q8, f32 scales and biases', () => quantized({ ...Q8, scaleDtype: 'f32', hasBias: true })],
    [
      'q4, bf16 scales and biases',
      () => quantized({ ...Q4, group: 64, scaleDtype: 'f32', hasBias: true }, true),
    ],
    ["ggml's blocks", blocked],
  ];
  test.each(cases)('%s: rows are read there, and are the same', async (_, open) => {
    const stored = await open();
    const [bytes, few] = [stored.placeBytes!(64), stored.placeBytes!(44)];
    const nowhere = placing([]);
    await upload(stored, stored.format!, nowhere.sink);
    expect(nowhere.copies).toEqual([true, true, true, true, true]);
    for (const [sizes, copied] of [
      [
        [bytes, bytes],
        [false, false, false, false, false],
      ],
      [[bytes], [false, true, false, true, false]], // the next block is read before this one is put
      [[few], [true, true, true, true, false]],
    ] as const) {
      const { sink, taken, copies } = placing(sizes);
      await upload(stored, stored.format!, sink);
      expect(copies).toEqual(copied);
      expect(taken).toEqual(nowhere.taken);
    }
  });

  test('rows that change on their way, or whose file brings memory of its own, are read elsewhere', async () => {
    for (const [stored, format, multiplied] of [
      [quantized(Q4), Q4, true],
      [quantized(Q4), { ...Q4, group: 64 }, false],
      [quantized(Q4, false, { ...filling(noise), readInto: undefined } as unknown as ByteSource), Q4, false],
    ] as const) {
      const { sink, copies } = placing([2 ** 20, 2 ** 20]);
      await upload(stored, format, sink, multiplied);
      expect(copies).toEqual([true, true, true, true, true]);
    }
  });
});
