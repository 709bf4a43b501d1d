import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { numberToF16 } from '../../src/weights/half.ts';
import { Random } from '../helpers/random.ts';
import { files } from './files.ts';
import { type GgufValue, gguf } from './gguf_file.ts';

const ARCH: [string, GgufValue] = ['general.architecture', { string: 'other' }];
const random = new Random('kquants');
const below = (count: number, n: number) => Array.from({ length: count }, () => random.below(n));

function putHalf(bytes: Uint8Array, at: number, x: number): void {
  new DataView(bytes.buffer).setUint16(at, numberToF16(x), true);
}

/** A block of Q4_K or Q5_K, written value by value, and what it stands for. */
function block45(bits: 4 | 5): { bytes: Uint8Array; values: number[] } {
  const bytes = new Uint8Array(bits === 4 ? 144 : 176);
  const [d, dmin] = [0.0625 * (1 + random.below(9)), -0.125 * random.below(5)] as const;
  const [scales, mins, codes] = [below(8, 64), below(8, 64), below(256, 2 ** bits)] as const;
  putHalf(bytes, 0, d);
  putHalf(bytes, 2, dmin);
  for (let j = 0; j < 4; j++) {
    bytes[4 + j] = scales[j]! + 64 * Math.floor(scales[j + 4]! / 16);
    bytes[8 + j] = mins[j]! + 64 * Math.floor(mins[j + 4]! / 16);
    bytes[12 + j] = (scales[j + 4]! % 16) + 16 * (mins[j + 4]! % 16);
  }
  const nibbles = bits === 4 ? 16 : 48;
  codes.forEach((q, e) => {
    const chunk = Math.floor(e / 64);
    bytes[nibbles + 32 * chunk + (e % 32)]! += (q % 16) * (e % 64 < 32 ? 1 : 16);
    if (q >= 16) bytes[16 + (e % 32)]! += 2 ** Math.floor(e / 32);
  });
  const group = (e: number) => Math.floor(e / 32);
  return { bytes, values: codes.map((q, e) => d * scales[group(e)]! * q - dmin * mins[group(e)]!) };
}

function block6(): { bytes: Uint8Array; values: number[] } {
  const bytes = new Uint8Array(210);
  const d = 0.03125 * (1 + random.below(9));
  const [scales, codes] = [below(16, 256).map((x) => x - 128), below(256, 64)] as const;
  putHalf(bytes, 208, d);
  scales.forEach((x, i) => {
    bytes[192 + i] = x < 0 ? x + 256 : x;
  });
  codes.forEach((q, e) => {
    const half = Math.floor(e / 128);
    bytes[64 * half + (e % 64)]! += (q % 16) * (e % 128 < 64 ? 1 : 16);
    bytes[128 + 32 * half + (e % 32)]! += Math.floor(q / 16) * 4 ** (Math.floor(e / 32) % 4);
  });
  return { bytes, values: codes.map((q, e) => d * scales[Math.floor(e / 16)]! * (q - 32)) };
}

describe("GGUF's k-quants", () => {
  test.each([
    ['Q4_K', 12, () => block45(4), { bits: 4, group: 32, hasBias: true }],
    ['Q5_K', 13, () => block45(5), { bits: 8, group: 32, hasBias: true }],
    ['Q6_K', 14, block6, { bits: 8, group: 16, hasBias: false }],
  ] as const)('%s is what its blocks stand for', async (dtype, type, make, form) => {
    const blocks = Array.from({ length: 12 }, make); // [3 rows, 4 blocks]
    const data = Uint8Array.from(blocks.flatMap(({ bytes }) => [...bytes]));
    const checkpoint = await openCheckpoint(
      files({ 'x.gguf': gguf([ARCH], [{ name: 'w', ne: [1024, 3], type, data }]) }),
    );
    const tensor = checkpoint.tensors.get('w')!;
    const format = { kind: 'quant', scaleDtype: 'f32', ...form };
    expect(tensor).toMatchObject({ dtype, rows: 3, cols: 1024, format });
    const expected = blocks.flatMap(({ values }) => values.map((x) => Math.fround(x) + 0));
    const read = async (row: number, rows: number) => [...toF32(await tensor.read(row, rows))];
    expect((await read(0, 3)).map((x) => x + 0)).toEqual(expected);
    expect((await read(1, 1)).map((x) => x + 0)).toEqual(expected.slice(1024, 2048));
  });
});
