import { describe, expect, test } from 'vitest';
import { bf16ToF32, f16ToF32, f16ToNumber, f32ToF16, numberToF16 } from '../../src/weights/half.ts';
import { murmur128 } from '../../src/weights/hash.ts';
import { exp, negExp } from '../../src/weights/math.ts';
import { f32ToBf16 } from '../helpers/bf16.ts';
import { Random } from '../helpers/random.ts';

const all = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** By definition, IEEE 754. */
function f16(bits: number): number {
  const [sign, e, f] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (e === 31) return f ? Number.NaN : sign * Infinity;
  return e === 0 ? sign * f * 2 ** -24 : sign * (1 + f / 1024) * 2 ** (e - 15);
}

describe('binary16', () => {
  test('every value is exact, and comes back', () => {
    const values = f16ToF32(all);
    expect([...all].filter((h) => !Object.is(values[h], f16(h)))).toEqual([]);
    const back = f32ToF16(values);
    const same = (h: number) =>
      Number.isNaN(values[h]) ? Number.isNaN(f16ToNumber(back[h]!)) : back[h] === h;
    expect([...all].filter((h) => !same(h))).toEqual([]);
  });

  test('rounds to nearest, ties to even, between every two neighbours', () => {
    const wrong: number[] = [];
    for (let h = 0; h < 0x7bff; h++) {
      const [low, high] = [f16(h), f16(h + 1)];
      const middle = (low + high) / 2; // exact in f32
      const ulp = 2 ** (Math.floor(Math.log2(middle)) - 23);
      const even = h & 1 ? h + 1 : h;
      const found = [middle - ulp, middle, middle + ulp, -middle].map(numberToF16);
      if (`${found}` !== `${[h, even, h + 1, 0x8000 | even]}`) wrong.push(h);
    }
    expect(wrong).toEqual([]);
  });

  test('overflow, underflow, NaN', () => {
    expect(numberToF16(65519.99)).toBe(0x7bff);
    expect(numberToF16(65520)).toBe(0x7c00);
    expect(numberToF16(-1e30)).toBe(0xfc00);
    expect(numberToF16(Infinity)).toBe(0x7c00);
    expect(numberToF16(2 ** -25)).toBe(0);
    expect(numberToF16(2 ** -25 * 1.0001)).toBe(1);
    expect(numberToF16(1e-40)).toBe(0);
    expect(numberToF16(-0)).toBe(0x8000);
    expect(f16ToNumber(numberToF16(Number.NaN))).toBeNaN();
  });
});

describe('bfloat16', () => {
  test('is the upper half of f32, rounded to nearest even', () => {
    const values = bf16ToF32(all);
    const words = new Uint32Array(values.buffer);
    expect([...all].filter((b) => words[b] !== b * 65536)).toEqual([]);
    const back = f32ToBf16(values);
    expect([...all].filter((b) => !Number.isNaN(values[b]) && back[b] !== b)).toEqual([]);
    const ties = new Float32Array(
      new Uint32Array([0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7fc00001]).buffer,
    );
    expect([...f32ToBf16(ties)]).toEqual([0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x7fc0]);
    expect(bf16ToF32(f32ToBf16(new Float32Array([Number.NaN])))[0]).toBeNaN();
  });
});

describe('exp', () => {
  test('is within 2 ulp of the engine over the whole range', () => {
    const random = new Random('exp');
    const wrong: number[] = [];
    for (let i = 0; i < 200_000; i++) {
      const x = random.uniform(-700, 700) * (i & 1 ? 1 : 0.01);
      const expected = Math.exp(x);
      if (!(Math.abs(exp(x) - expected) <= expected * 2 ** -51)) wrong.push(x);
    }
    expect(wrong).toEqual([]);
  });

  test('edges', () => {
    expect(exp(0)).toBe(1);
    expect(exp(-0)).toBe(1);
    expect(exp(Infinity)).toBe(Infinity);
    expect(exp(-Infinity)).toBe(0);
    expect(exp(710)).toBe(Infinity);
    expect(exp(-746)).toBe(0);
    expect(exp(Number.NaN)).toBeNaN();
    expect(exp(-745) / 5e-324).toBe(1);
    expect(exp(709.78)).toBeCloseTo(1.7928227943945155e308, -300);
  });

  test('the bits of −exp(A_log) are pinned: every engine must give these', () => {
    const values = negExp(Float32Array.from({ length: 16 }, (_, i) => Math.fround(0.37 * i - 2)));
    const bits = [...new Uint32Array(values.buffer)].map((word) => word.toString(16));
    expect(bits).toMatchInlineSnapshot(`
      [
        "be0a9555",
        "be48a1c3",
        "be913b1a",
        "bed24179",
        "bf183280",
        "bf5c575c",
        "bf9f7f71",
        "bfe6e917",
        "c0272609",
        "c071fc9e",
        "c0af2a94",
        "c0fd9826",
        "c1379194",
        "c184e11c",
        "c1c05fc1",
        "c20b40d6",
      ]
    `);
  });
});

test('murmur128 matches the published function', () => {
  const hash = (text: string) => murmur128(new TextEncoder().encode(text));
  expect(hash('')).toBe('0'.repeat(32));
  expect(hash('hello')).toBe('2b2444a0db91def79adb31b69adb31b6');
  expect(murmur128(Uint8Array.from({ length: 100 }, (_, i) => i))).toBe('2a3a0342cee0e2c597643d4ce4d3220e');
  expect(hash('I will not buy this record, it is scratched.')).toBe('a0a9683b25ac5e40d9af2895890dddf5');
});
