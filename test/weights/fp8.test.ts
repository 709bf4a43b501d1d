import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { JsonObject } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { f8ToF16, f16ToF32 } from '../../src/weights/half.ts';
import { relativeError } from '../helpers/compare.ts';
import { blank, f32, folder, MODULE, WEIGHT } from './changed_fixture.ts';
import { expectError } from './files.ts';
import { loadedLogits } from './loaded.ts';
import { floatsOf, IDS, type RawTensor } from './reexport.ts';

/** The value of FP8 bits, by the definition. */
function valueOfBits(byte: number, exponentBits: number, fractionBits: number): number {
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = (byte & 127) >> fractionBits;
  const fraction = (byte & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const magnitude = exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias);
  return byte & 128 ? -magnitude : magnitude;
}

/** The FP8 nearest to each value over its scale, and what they stand for. */
function fp8(values: Float32Array, cols: number, scaleOf: (row: number, col: number) => number) {
  const table = Array.from({ length: 127 }, (_, byte) => valueOfBits(byte, 4, 3));
  const data = new Uint8Array(values.length);
  const meant = Float32Array.from(values, (x, i) => {
    const scale = Math.fround(scaleOf(Math.floor(i / cols), i % cols));
    const wanted = Math.abs(x) / scale;
    let byte = table.findIndex((value) => value >= wanted);
    if (byte === -1) byte = 126;
    if (byte > 0 && wanted - table[byte - 1]! < table[byte]! - wanted) byte--;
    data[i] = byte | (x < 0 ? 128 : 0);
    return Math.fround((x < 0 ? -1 : 1) * table[byte]! * scale);
  });
  return { data, meant };
}

describe('FP8', () => {
  test('every bit pattern of both dtypes', () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const [e4m3, e5m2] = [f16ToF32(f8ToF16(all, 'F8_E4M3')), f16ToF32(f8ToF16(all, 'F8_E5M2'))];
    for (const byte of all) {
      const wanted = (byte & 127) === 127 ? Number.NaN : valueOfBits(byte, 4, 3);
      expect(Object.is(e4m3[byte], wanted) || (Number.isNaN(wanted) && Number.isNaN(e4m3[byte]))).toBe(true);
      if ((byte & 127) < 124) expect(e5m2[byte]).toBe(valueOfBits(byte, 5, 2));
      else expect(Number.isFinite(e5m2[byte])).toBe(false);
    }
  });

  const [rows, cols] = WEIGHT.shape as [number, number];
  const values = floatsOf(WEIGHT);
  const scale = (a: number, b: number) => 0.01 + 0.001 * a + 0.0005 * b;
  const blocks = (h: number, w: number) => [Math.ceil(rows / h), Math.ceil(cols / w)] as const;
  const [down, across] = blocks(128, 48);
  const KINDS: Record<string, [JsonObject, string, RawTensor, (r: number, c: number) => number]> = {
    'a scale a tensor (compressed-tensors)': [
      { quant_method: 'compressed-tensors', format: 'float-quantized' },
      'weight_scale',
      f32([1], 0.02),
      () => 0.02,
    ],
    'a scale a tensor (ModelOpt)': [
      { quant_method: 'modelopt', quant_algo: 'FP8' },
      'weight_scale',
      f32([], 0.02),
      () => 0.02,
    ],
    'a scale a row (FBGEMM)': [
      { quant_method: 'fbgemm_fp8' },
      'weight_scale',
      f32([rows, 1], ...Array.from({ length: rows }, (_, r) => scale(r % 7, 0))),
      (r) => scale(r % 7, 0),
    ],
    'a scale a block (fp8)': [
      { quant_method: 'fp8', weight_block_size: [128, 48] },
      'weight_scale_inv',
      f32(
        [down, across],
        ...Array.from({ length: down * across }, (_, i) => scale(Math.floor(i / across), i % across)),
      ),
      (r, c) => scale(Math.floor(r / 128), Math.floor(c / 48)),
    ],
    'a scale a block (compressed-tensors)': [
      {
        quant_method: 'compressed-tensors',
        config_groups: { group_0: { weights: { type: 'float', block_structure: [128, 48] } } },
      },
      'weight_scale',
      f32(
        [down, across],
        ...Array.from({ length: down * across }, (_, i) => scale(Math.floor(i / across), i % across)),
      ),
      (r, c) => scale(Math.floor(r / 128), Math.floor(c / 48)),
    ],
  };
  test.each(Object.keys(KINDS))('%s: the values times it', async (kind) => {
    const [quantization_config, name, scales, scaleOf] = KINDS[kind]!;
    const { data, meant } = fp8(values, cols, scaleOf);
    const set = await folder(
      {
        [`${MODULE}.weight`]: { dtype: 'F8_E4M3', shape: [rows, cols], data },
        [`${MODULE}.${name}`]: scales,
        [`${MODULE}.input_scale`]: f32([], 0.5), // of activations, which stay floats here
      },
      { quantization_config },
    );
    const tensor = (await openCheckpoint(set)).tensors.get(`${MODULE}.weight`)!;
    expect(toF32(await tensor.read(0, rows))).toEqual(meant);
    expect(toF32(await tensor.read(130, 7))).toEqual(meant.subarray(130 * cols, 137 * cols));
    const floats = await folder({
      [`${MODULE}.weight`]: { dtype: 'F32', shape: [rows, cols], data: new Uint8Array(meant.buffer) },
    });
    const wanted = await loadedLogits(floats, IDS, { backend: reference });
    expect(relativeError(await loadedLogits(set, IDS), wanted)).toBeLessThanOrEqual(1e-4);
  });

  test('without a scale, the values as they are; E5M2 as well', async () => {
    const data = Uint8Array.from({ length: rows * cols }, (_, i) => (i * 7) % 120);
    for (const [dtype, exponent, fraction] of [
      ['F8_E4M3', 4, 3],
      ['F8_E5M2', 5, 2],
    ] as const) {
      const set = await folder({ [`${MODULE}.weight`]: { dtype, shape: [rows, cols], data } });
      const tensor = (await openCheckpoint(set)).tensors.get(`${MODULE}.weight`)!;
      const wanted = Array.from(data, (byte) => valueOfBits(byte, exponent, fraction));
      expect([...toF32(await tensor.read(0, rows))]).toEqual(wanted);
    }
  });

  test('scales of another shape, left over, or of a config that says nothing', async () => {
    const weight = { [`${MODULE}.weight`]: blank('F8_E4M3', rows, cols) };
    const open = async (changed: Record<string, RawTensor>, more: JsonObject = {}) =>
      openCheckpoint(await folder(changed, more));
    const quantization_config = { quant_method: 'fp8', weight_block_size: [128, 128] };
    const scaled = { ...weight, [`${MODULE}.weight_scale_inv`]: blank('F32', 2, 2) };
    await expectError(
      () => open(scaled, { quantization_config }),
      'INVALID_FILE',
      /128 × 128/,
      /\[2,2\]/,
      MODULE,
    );
    await expectError(() => open(scaled), 'UNSUPPORTED_MODEL', /does not name/, MODULE);
    const left = { [`${MODULE}.weight_scale`]: f32([], 2) };
    await expectError(() => open(left), 'UNSUPPORTED_MODEL', `${MODULE}.weight_scale`);
    await expectError(() => open(left, { quantization_config }), 'UNSUPPORTED_MODEL', /FP8/, MODULE);
  });
});
