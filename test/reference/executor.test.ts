import { describe, expect, test } from 'vitest';
import { dequantize, f16ToNumber } from '../../src/backends/reference/dequantize.ts';
import { reference } from '../../src/backends/reference/index.ts';
import { sampleRow, uniform } from '../../src/backends/reference/ops/sample.ts';
import type { Program } from '../../src/ops/program.ts';
import { relativeError } from '../helpers/compare.ts';
import { numberToF16 } from '../helpers/f16.ts';
import { Random } from '../helpers/random.ts';
import { ALL_FORMATS, encodeTensor, F32, floatTensor, formatName, quant } from '../helpers/tensors.ts';
import { expectedUniform, GREEDY } from '../ops/sample_cases.ts';

describe('canonical weights', () => {
  test('f16 bits', () => {
    const values: [bits: number, value: number][] = [
      [0x3c00, 1],
      [0xc000, -2],
      [0x3555, 0.333251953125],
      [0x7bff, 65504],
      [0x0001, 2 ** -24],
      [0x0400, 2 ** -14],
      [0x8000, -0],
      [0x7c00, Number.POSITIVE_INFINITY],
    ];
    for (const [bits, value] of values) {
      expect(f16ToNumber(bits)).toBe(value);
      expect(numberToF16(value)).toBe(bits);
    }
    expect(f16ToNumber(0x7e00)).toBeNaN();
    expect(numberToF16(2049)).toBe(numberToF16(2048)); // ties to even
    expect(numberToF16(2051)).toBe(numberToF16(2052));
    expect(numberToF16(65520)).toBe(0x7c00);
    for (let bits = 0; bits < 0x7c00; bits++) expect(numberToF16(f16ToNumber(bits))).toBe(bits);
  });

  test('4 bits: low nibble first, the default bias is −8 scales, a short last group', () => {
    const values = dequantize({
      format: quant(4, 16, false, 'f32'),
      rows: 2,
      cols: 17,
      q: Uint8Array.from([
        0x98, 0x10, 0, 0, 0, 0, 0, 0xf0, 7, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 12,
      ]),
      scale: Float32Array.of(1, 10, 100, 1000),
      bias: null,
    });
    expect(Array.from(values.subarray(0, 4))).toEqual([0, 1, -8, -7]);
    expect(Array.from(values.subarray(14, 17))).toEqual([-8, 7, -10]);
    expect(Array.from(values.subarray(17))).toEqual([...new Array(16).fill(0), 4000]);
  });

  test('8 bits: scale · q + bias, in f16', () => {
    const values = dequantize({
      format: quant(8, 16, true),
      rows: 1,
      cols: 3,
      q: Uint8Array.of(0, 1, 255),
      scale: Uint16Array.of(numberToF16(0.5)),
      bias: Uint16Array.of(numberToF16(-3)),
    });
    expect(Array.from(values)).toEqual([-3, -2.5, 124.5]);
  });

  test('the tests’ quantizer comes within half a step in every format', () => {
    const values = new Random(1).floats(5 * 150, (random) => random.normal());
    for (const format of ALL_FORMATS) {
      const error = relativeError(dequantize(encodeTensor(values, 150, format)), values);
      const bits = format.kind === 'quant' ? format.bits : 11;
      expect(error, formatName(format)).toBeLessThan(1 / 2 ** (bits - 1.3));
      if (format.kind === 'quant') expect(error, formatName(format)).toBeGreaterThan(1e-4);
    }
  });
});

describe('reference sampling', () => {
  test('uniform numbers are the hash of the contract', () => {
    for (const [lo, hi, position] of [
      [0, 0, 0],
      [1, 2, 3],
      [0xffffffff, 0x80000000, 2 ** 31],
      [42, 0, 1e6],
    ])
      expect(uniform({ seedLo: lo!, seedHi: hi!, position: position! })).toBe(
        expectedUniform(lo!, hi!, position!),
      );
  });

  test('draws follow the probabilities', () => {
    const logits = Float32Array.of(Math.log(1), Math.log(2), Math.log(5));
    const counts = [0, 0, 0];
    for (let position = 0; position < 8000; position++)
      counts[sampleRow(logits, { ...GREEDY, temperature: 1, seedLo: 7, position }).id]!++;
    expect(counts[0]! / 1000).toBeCloseTo(1, 0);
    expect(counts[1]! / 1000).toBeCloseTo(2, 0);
    expect(counts[2]! / 1000).toBeCloseTo(5, 0);
  });

  test('log-probabilities are the model’s own, before bias and penalties', () => {
    const logits = Float32Array.of(Math.log(1), Math.log(2), Math.log(5));
    const bias = { ids: Int32Array.of(0), values: Float32Array.of(50) };
    const { id, logprob, top } = sampleRow(logits, { ...GREEDY, bias, top: 2 });
    expect(id).toBe(0);
    expect(logprob).toBeCloseTo(Math.log(1 / 8), 6);
    expect(top.map((token) => token.id)).toEqual([2, 1]);
    expect(top[0]!.logprob).toBeCloseTo(Math.log(5 / 8), 6);
    expect(top[1]!.logprob).toBeCloseTo(Math.log(2 / 8), 6);
  });
});

describe('reference executor', () => {
  const program: Program = {
    buffers: { x: { width: 2 }, y: { width: 3 } },
    weights: { w: { shape: [3, 2], role: 'linear' } },
    states: {},
    calls: [
      {
        op: 'norm_linear',
        x: { buffer: 'x', offset: 0, width: 2 },
        w: 'w',
        y: { buffer: 'y', offset: 0, width: 3 },
        eps: 1,
      },
    ],
    vocabSize: 4,
    chunk: 2,
    maxContext: Number.POSITIVE_INFINITY,
  };
  const options = { slots: 1, numerics: 'exact', threads: 1 } as const;

  test('refuses to start without all rows of a weight, and rows that do not fit', async () => {
    const executor = await reference.create(program, { w: F32 }, options);
    executor.sink('w').put(0, floatTensor(Float32Array.of(1, 2, 3, 4), 2));
    await expect(executor.ready()).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining("'w'"),
    });
    expect(() => executor.sink('w').put(2, floatTensor(Float32Array.of(1, 2, 3, 4), 2))).toThrow(
      /do not fit/,
    );
    expect(() => executor.sink('w').put(2, floatTensor(Float32Array.of(1), 1))).toThrow(/do not fit/);
    expect(() => executor.sink('u').put(0, floatTensor(Float32Array.of(1), 1))).toThrow(/does not read/);
    executor.sink('w').put(2, floatTensor(Float32Array.of(5, 6), 2));
    await executor.ready();
  });

  test('keeps slots in canonical order, each to itself', async () => {
    const states: Program['states'] = {
      ring: { shape: [2, 3, 1], layout: { ringAxis: 1 } },
      dense: { shape: [2], layout: 'dense' },
    };
    const executor = await reference.create({ ...program, states }, { w: F32 }, { ...options, slots: 2 });
    const state = { ring: Float32Array.of(1, 2, 3, 4, 5, 6), dense: Float32Array.of(7, 8) };
    await executor.writeSlot(0, 4, state);
    expect(await executor.readSlot(0, 4)).toEqual(state);
    expect((await executor.readSlot(0, 5)).ring).toEqual(Float32Array.of(2, 3, 1, 5, 6, 4)); // one row on
    const empty = { ring: new Float32Array(6), dense: new Float32Array(2) };
    expect(await executor.readSlot(1, 4)).toEqual(empty);
    await executor.copySlot(0, 1);
    await executor.resetSlot(0);
    expect(await executor.readSlot(0, 0)).toEqual(empty);
    expect(await executor.readSlot(1, 4)).toEqual(state);
    await expect(executor.writeSlot(0, 0, { ring: state.dense })).rejects.toThrow(/'ring' needs 6 values/);
    await expect(executor.readSlot(2, 0)).rejects.toThrow(/slot 2 of 2/);
  });

  test('refuses steps that do not add up', async () => {
    const executor = await reference.create(program, { w: F32 }, options);
    const step = { ids: Int32Array.of(0, 1), segments: [{ slot: 0, position: 0, rows: 2 }], outputs: [] };
    await expect(executor.step({ ...step, ids: Int32Array.of(0) })).rejects.toThrow(/1 ids/);
    await expect(executor.step({ ...step, ids: Int32Array.of(0, 4) })).rejects.toThrow(/vocabulary/);
    await expect(
      executor.step({ ...step, ids: new Int32Array(3), segments: [{ slot: 0, position: 0, rows: 3 }] }),
    ).rejects.toThrow(/chunk 2/);
  });

  test('keeps to its memory budget and says what it needs', async () => {
    const plan = reference.plan(program, { w: F32 }, options);
    expect(plan).toEqual({ weightBytes: 48, stateBytes: 0, scratchBytes: 80, totalBytes: 128 });
    await expect(
      reference.create(program, { w: F32 }, { ...options, memoryBudget: 127 }),
    ).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
  });

  test('refuses a program that breaks a contract', async () => {
    const broken = { ...program, weights: { w: { shape: [3, 5], role: 'linear' } } } as const;
    await expect(reference.create(broken, { w: F32 }, options)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});
