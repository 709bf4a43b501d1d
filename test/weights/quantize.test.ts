import { describe, expect, test } from 'vitest';
import { dequantize } from '../../src/backends/reference/dequantize.ts';
import type { QuantTensor } from '../../src/types.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { f16ToNumber } from '../../src/weights/half.ts';
import { Q4, Q8, type QuantFormat, roundToNearest } from '../../src/weights/quantize.ts';
import { relativeError } from '../helpers/compare.ts';
import { Random } from '../helpers/random.ts';
import { ALL_FORMATS, randomTensor } from '../helpers/tensors.ts';

const quantize = (values: number[], format: QuantFormat): QuantTensor =>
  roundToNearest(Float32Array.from(values), 1, values.length, format);

describe('round to nearest', () => {
  test('4 bits: the extreme becomes −8, sign and all; the low nibble comes first', () => {
    const tensor = quantize([-8, -7, 0, 1, 7, 3.4, 3.6], Q4);
    expect(f16ToNumber(tensor.scale[0]!)).toBe(1);
    expect([...tensor.q]).toEqual([0x10, 0x98, 0xbf, 0x0c]);
    expect([...toF32(tensor)]).toEqual([-8, -7, 0, 1, 7, 3, 4]);
    const flipped = quantize([8, 7, 0, -1, -7], Q4);
    expect(f16ToNumber(flipped.scale[0]!)).toBe(-1);
    expect([...toF32(flipped)]).toEqual([8, 7, -0, -1, -7]);
  });

  test('8 bits: the extreme becomes ±127', () => {
    const tensor = quantize([127, -127, 0, 1, -1, 63.4], Q8);
    expect(f16ToNumber(tensor.scale[0]!)).toBe(1);
    expect([...tensor.q]).toEqual([255, 1, 128, 129, 127, 191]);
  });

  test('codes are taken from the scale as stored', () => {
    const random = new Random('scale');
    for (const format of [Q4, Q8]) {
      const values = random.floats(32 * 500, () => random.normal(0.02));
      const tensor = roundToNearest(values, 500, 32, format);
      const out = toF32(tensor);
      let worst = 0;
      for (let i = 0; i < values.length; i++) {
        const scale = Math.abs(f16ToNumber(tensor.scale[Math.floor(i / 32)]!));
        // Half a step, but for the far end of 4 bits, where +8 would be needed.
        const bound = format.bits === 4 ? 1.01 : 0.51;
        worst = Math.max(worst, Math.abs(out[i]! - values[i]!) / scale / bound);
      }
      expect(worst).toBeLessThanOrEqual(1);
    }
  });

  test('error on normal weights is that of the plain quantizers', () => {
    const random = new Random('error');
    const values = random.floats(64 * 1024, () => random.normal(0.02));
    const error = (format: QuantFormat) =>
      relativeError(toF32(roundToNearest(values, 64, 1024, format)), values);
    expect(error(Q8)).toBeLessThan(0.006);
    expect(error(Q8)).toBeGreaterThan(0.002);
    expect(error(Q4)).toBeLessThan(0.1);
    expect(error(Q4)).toBeGreaterThan(0.05);
  });

  test('zeros, tiny, huge and non-finite groups', () => {
    for (const format of [Q4, Q8]) {
      expect(toF32(quantize([0, 0, 0], format))).toEqual(new Float32Array(3));
      expect(quantize([0, -0], format).scale[0]).toBe(0);
      for (const tiny of [1e-9, 1e-7, 1e-6, -3e-7]) {
        const [a] = toF32(quantize([tiny, tiny / 2], format));
        expect(Math.abs(a! - tiny)).toBeLessThanOrEqual(Math.abs(tiny));
      }
      const huge = toF32(quantize([3e38, -1e38], format));
      expect(huge.every(Number.isFinite)).toBe(true);
      expect(huge[0]).toBeGreaterThan(4e5);
      for (const bad of [Number.NaN, Infinity, -Infinity]) {
        const out = toF32(quantize([1, bad, ...Array(30).fill(1), 5, 6], format));
        expect(out.slice(0, 32).every(Number.isNaN)).toBe(true);
        expect(out.slice(32).some(Number.isNaN)).toBe(false);
      }
    }
  });

  test('rows are independent, short last groups and odd widths too', () => {
    const random = new Random('rows');
    for (const format of [Q4, Q8])
      for (const cols of [1, 7, 31, 33, 100]) {
        const values = random.floats(5 * cols, () => random.normal());
        const whole = roundToNearest(values, 5, cols, format);
        expect(whole.q.length).toBe(5 * Math.ceil((cols * format.bits) / 8));
        expect(whole.scale.length).toBe(5 * Math.ceil(cols / 32));
        const parts = [0, 1, 2, 3, 4].map((r) =>
          roundToNearest(values.subarray(r * cols, (r + 1) * cols), 1, cols, format),
        );
        expect([...whole.q]).toEqual(parts.flatMap(({ q }) => [...q]));
        expect([...whole.scale]).toEqual(parts.flatMap(({ scale }) => [...scale]));
      }
  });
});

test('toF32 agrees with the reference backend on every format', () => {
  const random = new Random('dequantize');
  for (const format of ALL_FORMATS)
    for (const cols of [5, 64, 129]) {
      const tensor = randomTensor(random, 3, cols, format);
      expect([...toF32(tensor)]).toEqual([...dequantize(tensor)].map(Math.fround));
    }
});
