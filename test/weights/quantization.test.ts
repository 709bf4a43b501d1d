import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { JsonObject } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { f8ToF16, f16ToF32 } from '../../src/weights/half.ts';
import { stringifyJson } from '../../src/weights/json.ts';
import { relativeError } from '../helpers/compare.ts';
import { expectError, files } from './files.ts';
import { loadedLogits } from './loaded.ts';
import { floatsOf, IDS, type RawTensor, rawFixture, safetensors } from './reexport.ts';
import { torchFile } from './torch_file.ts';

const json = (value: JsonObject) => new TextEncoder().encode(stringifyJson(value)); // Infinity stays
const { config, tensors } = rawFixture('granite-hybrid');
const MODULE = 'model.layers.0.mamba.in_proj';
const WEIGHT = tensors[`${MODULE}.weight`]!;
const BYTES: Readonly<Record<string, number>> = { F32: 4, I32: 4, U32: 4, F16: 2, BF16: 2, I64: 8 };

const f32 = (shape: number[], ...values: number[]): RawTensor => {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return { dtype: 'F32', shape, data };
};
const blank = (dtype: string, ...shape: number[]): RawTensor => {
  const count = shape.reduce((a, b) => a * b, 1);
  return { dtype, shape, data: new Uint8Array(count * (BYTES[dtype] ?? 1)) };
};

/** The fixture with tensors added, changed or (null) left out, and more in its config. */
async function folder(changed: Record<string, RawTensor | null>, more: JsonObject = {}) {
  const all = Object.entries({ ...tensors, ...changed }).filter(([, tensor]) => tensor !== null);
  const file = await safetensors(Object.fromEntries(all) as Record<string, RawTensor>);
  return files({ 'model.safetensors': file, 'config.json': json({ ...config, ...more }) });
}

const plain = { [`${MODULE}.weight`]: null };
const SCHEMES: Record<string, [quantization: JsonObject, Record<string, RawTensor | null>, label: RegExp]> = {
  'bitsandbytes, 4 bits': [
    { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4' },
    {
      [`${MODULE}.weight`]: blank('U8', 9000, 1),
      [`${MODULE}.weight.absmax`]: blank('U8', 30),
      [`${MODULE}.weight.quant_map`]: blank('F32', 16),
      [`${MODULE}.weight.quant_state.bitsandbytes__nf4`]: blank('U8', 80),
    },
    /bitsandbytes/,
  ],
  'bitsandbytes, 8 bits': [
    { quant_method: 'bitsandbytes', load_in_8bit: true },
    { [`${MODULE}.weight`]: blank('I8', ...WEIGHT.shape), [`${MODULE}.SCB`]: blank('F32', WEIGHT.shape[0]!) },
    /bitsandbytes/,
  ],
  GPTQ: [
    { quant_method: 'gptq', bits: 4, group_size: 128 },
    {
      ...plain,
      [`${MODULE}.qweight`]: blank('I32', 8, 300),
      [`${MODULE}.qzeros`]: blank('I32', 1, 38),
      [`${MODULE}.scales`]: blank('F16', 1, 300),
      [`${MODULE}.g_idx`]: blank('I32', 64),
    },
    /GPTQ/,
  ],
  AWQ: [
    { quant_method: 'awq', bits: 4, group_size: 64 },
    {
      ...plain,
      [`${MODULE}.qweight`]: blank('I32', 64, 38),
      [`${MODULE}.qzeros`]: blank('I32', 1, 38),
      [`${MODULE}.scales`]: blank('F16', 1, 300),
    },
    /AWQ/,
  ],
  'compressed-tensors, packed': [
    { quant_method: 'compressed-tensors', format: 'pack-quantized' },
    {
      ...plain,
      [`${MODULE}.weight_packed`]: blank('I32', 300, 8),
      [`${MODULE}.weight_scale`]: blank('BF16', 300, 1),
      [`${MODULE}.weight_shape`]: blank('I64', 2),
    },
    /compressed-tensors/,
  ],
  'compressed-tensors, integers': [
    { quant_method: 'compressed-tensors', format: 'int-quantized' },
    {
      [`${MODULE}.weight`]: blank('I8', ...WEIGHT.shape),
      [`${MODULE}.weight_scale`]: blank('BF16', 300, 1),
    },
    /compressed-tensors|config\.json does not name/,
  ],
  HQQ: [{ quant_method: 'hqq' }, { ...plain, [`${MODULE}.W_q`]: blank('U8', 100, 64) }, /HQQ/],
  EETQ: [
    { quant_method: 'eetq' },
    {
      [`${MODULE}.weight`]: blank('I8', ...WEIGHT.shape),
      [`${MODULE}.weight_scales`]: blank('F32', 300),
    },
    /EETQ/,
  ],
  Quanto: [
    { quant_method: 'quanto', weights: 'int8' },
    {
      ...plain,
      [`${MODULE}.weight._data`]: blank('I8', ...WEIGHT.shape),
      [`${MODULE}.weight._scale`]: blank('F32', 300),
    },
    /Quanto/,
  ],
  torchao: [
    { quant_method: 'torchao' },
    {
      ...plain,
      [`${MODULE}._weight_qdata`]: blank('I8', ...WEIGHT.shape),
      [`${MODULE}._weight_scale`]: blank('F32', 300),
    },
    /torchao/,
  ],
  'NVIDIA ModelOpt': [
    { quant_method: 'modelopt', quant_algo: 'NVFP4' },
    {
      [`${MODULE}.weight`]: blank('U8', 300, 32),
      [`${MODULE}.weight_scale`]: blank('F8_E4M3', 300, 4),
      [`${MODULE}.weight_scale_2`]: f32([], 1),
    },
    /ModelOpt/,
  ],
  BitNet: [
    { quant_method: 'bitnet' },
    { [`${MODULE}.weight`]: blank('U8', 75, 64), [`${MODULE}.weight_scale`]: blank('BF16', 1) },
    /BitNet|config\.json does not name/,
  ],
  AQLM: [{ quant_method: 'aqlm' }, { ...plain, [`${MODULE}.codebooks`]: blank('BF16', 4) }, /AQLM/],
  "'zip-zap'": [
    { quant_method: 'zip-zap' },
    { [`${MODULE}.weight`]: blank('U8', 300, 32) },
    /'zip-zap'|config\.json does not name/,
  ],
};

describe('weights quantized by a method that is not read', () => {
  test.each(Object.keys(SCHEMES))('%s: refused by its name, with what works instead', async (scheme) => {
    const [quantization_config, changed, unnamed] = SCHEMES[scheme]!;
    const open = async (more: JsonObject) => openCheckpoint(await folder(changed, more));
    const [first] = scheme.split(',');
    const instead = /float checkpoint .*GGUF.*mlx-lm/;
    await expectError(() => open({ quantization_config }), 'UNSUPPORTED_MODEL', first!, MODULE, instead);
    await expectError(() => open({}), 'UNSUPPORTED_MODEL', unnamed, MODULE, instead);
  });

  test('also in PyTorch files', async () => {
    const all = { ...tensors, [`${MODULE}.SCB`]: blank('F32', 4) };
    const set = files({ 'pytorch_model.bin': torchFile(all), 'config.json': json(config) });
    await expectError(() => openCheckpoint(set), 'UNSUPPORTED_MODEL', /bitsandbytes/);
  });

  test('floats that a method would be applied to while they load are floats', async () => {
    const wanted = await loadedLogits(await folder({}), IDS);
    for (const quant_method of ['bitsandbytes', 'torchao', 'hqq', 'fp8'])
      expect(await loadedLogits(await folder({}, { quantization_config: { quant_method } }), IDS)).toEqual(
        wanted,
      );
    for (const quant_method of ['bitnet', 'gptq', 'x'])
      await expectError(
        async () => openCheckpoint(await folder({}, { quantization_config: { quant_method } })),
        'UNSUPPORTED_MODEL',
        /said by its config\.json/,
      );
  });

  test.each(['lora_A.weight', 'weight.zero', 'input_scale', 'anything'])(
    'a tensor beside a weight, %s, is never passed over',
    async (stray) => {
      const set = await folder({ [`${MODULE}.${stray}`]: blank('F32', 4) });
      await expectError(() => loadedLogits(set, IDS), 'UNSUPPORTED_MODEL', `${MODULE}.${stray}`);
    },
  );

  test('a tensor that belongs to no weight does no harm', async () => {
    const set = await folder({ 'model.layers.1.self_attn.rotary_emb.inv_freq': blank('F32', 8) });
    expect(await loadedLogits(set, IDS)).toEqual(await loadedLogits(await folder({}), IDS));
  });
});

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
