import { describe, expect, test } from 'vitest';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { convertCheckpoint } from '../../src/weights/convert.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { bf16ToF32, f16ToF32, f32ToF16 } from '../../src/weights/half.ts';
import { f32ToBf16 } from '../helpers/bf16.ts';
import { Random } from '../helpers/random.ts';
import { expectError, files, json } from './files.ts';
import { check, fuzz, LONG, load, SCALE } from './fuzz.ts';
import { loadedLogits } from './loaded.ts';
import { mlxFile, type Tensors } from './mlx_file.ts';
import { editHeader, mutate } from './mutate.ts';

const random = new Random('mlx');
const bytes = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array | Uint32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);
const floats = (...shape: number[]) => {
  const values = Float32Array.from(
    { length: shape.reduce((a, b) => a * b, 1) },
    () => random.below(65) / 64 - 0.5,
  );
  return { values, tensor: { dtype: 'F32', shape, data: bytes(values) } };
};

/** A matrix as MLX packs it: element i of a word in bits [i · bits, (i + 1) · bits); and what it stands for. */
function affine(rows: number, cols: number, bits: 4 | 8, group: number, dtype: 'F16' | 'BF16' | 'F32') {
  const words = new Uint32Array((rows * cols * bits) / 32);
  const codes = Array.from({ length: rows * cols }, () => random.below(2 ** bits));
  codes.forEach((q, i) => {
    words[Math.floor((i * bits) / 32)]! += q * 2 ** ((i * bits) % 32);
  });
  const part = () => {
    const { values } = floats(rows, cols / group);
    if (dtype === 'F32') return { data: bytes(values), values };
    const halves = dtype === 'F16' ? f32ToF16(values) : f32ToBf16(values);
    return { data: bytes(halves), values: dtype === 'F16' ? f16ToF32(halves) : bf16ToF32(halves) };
  };
  const [scale, bias] = [part(), part()];
  const shape = [rows, cols / group];
  const at = (i: number) => Math.floor(i / group);
  return {
    values: codes.map((q, i) => Math.fround(scale.values[at(i)]! * q + bias.values[at(i)]!)),
    weight: { dtype: 'U32', shape: [rows, (cols * bits) / 32], data: bytes(words) },
    scales: { dtype, shape, data: scale.data },
    biases: { dtype, shape, data: bias.data },
  };
}

/** Two SwiGLU layers of width 64, quantized or not. */
function small(bits: 4 | 8, group: number, dtype: 'F16' | 'BF16' | 'F32') {
  const tensors: Tensors = {};
  const put = (name: string, ...shape: number[]) => {
    const { values, tensor } = floats(...shape);
    tensors[name] = tensor;
    return values;
  };
  const packed = (name: string, rows: number, cols: number) => {
    const { values, ...parts } = affine(rows, cols, bits, group, dtype);
    for (const [kind, tensor] of Object.entries(parts)) tensors[`${name}.${kind}`] = tensor;
    return values;
  };
  const layers = [0, 1].map((i) => {
    const layer = `model.layers.${i}.layer`;
    return {
      norm: put(`model.layers.${i}.norm.weight`, 64),
      in: packed(`${layer}.in_proj`, 128, 64),
      gate: put(`${layer}.gate_proj.weight`, 128, 64),
      inner: put(`${layer}.norm.weight`, 128),
      out: packed(`${layer}.out_proj`, 64, 128),
    };
  });
  const weights = {
    embedding: put('embedding.encoder.weight', 16, 64),
    norm: put('model.norm.weight', 64),
    head: packed('head.linear', 16, 64),
    bias: put('head.linear.bias', 16),
    layers,
  };
  const config = {
    _class_: 'models.lm.LM',
    eos: 3,
    quantization_kwargs: { group_size: group, bits },
    model: {
      n_layer_repeats: 2,
      unique_layers: [{ layer: { _class_: 'layers.ffn.SwiGLU' }, stateful: false }],
    },
  };
  return { config, tensors, weights };
}

const norm = (x: number[], g: ArrayLike<number>) => {
  const scale = 1 / Math.sqrt(x.reduce((a, b) => a + b * b, 0) / x.length + 1e-5);
  return x.map((value, i) => value * scale * g[i]!);
};
const times = (w: ArrayLike<number>, x: number[]) =>
  Array.from({ length: w.length / x.length }, (_, r) =>
    x.reduce((sum, value, c) => sum + value * w[r * x.length + c]!, 0),
  );

/** The formula of layers/ffn.py, in doubles. */
function expectedLogits(
  { embedding, layers, norm: last, head, bias }: ReturnType<typeof small>['weights'],
  id: number,
) {
  let x = [...embedding.subarray(64 * id, 64 * id + 64)];
  for (const layer of layers) {
    const h = norm(x, layer.norm);
    const gate = times(layer.gate, h);
    const y = times(layer.in, h).map((v, i) => (v / (1 + Math.exp(-v))) * gate[i]!);
    const out = times(layer.out, norm(y, layer.inner));
    x = x.map((value, i) => value + out[i]!);
  }
  return times(head, norm(x, last)).map((value, i) => value + bias[i]!);
}

describe('files of cartesia-mlx', () => {
  test.each([
    [4, 32, 'F16'],
    [4, 64, 'BF16'],
    [8, 64, 'F16'],
    [8, 32, 'F32'],
  ] as const)(
    'SwiGLU with a norm inside and a biased head, %i bits, groups of %i, %s',
    async (bits, group, dtype) => {
      const { config, tensors, weights } = small(bits, group, dtype);
      const file = await mlxFile(config, tensors);
      const checkpoint = await openCheckpoint(
        files({ 'x.safetensors': file, 'config.json': json({ a: 1 }) }),
      );
      const proj = checkpoint.tensors.get('backbone.layers.1.mixer.in_proj.weight')!;
      expect(proj).toMatchObject({ rows: 128, cols: 64, format: { bits, group, hasBias: true } });
      expect([...toF32(await proj.read(0, 128))]).toEqual(weights.layers[1]!.in);
      expect([...toF32(await proj.read(7, 2))]).toEqual(weights.layers[1]!.in.slice(7 * 64, 9 * 64));
      const found = await loadedLogits(files({ 'x.safetensors': file }), [5, 11]);
      const expected = expectedLogits(weights, 11);
      const peak = Math.max(...expected.map(Math.abs));
      for (const [i, value] of expected.entries())
        expect(Math.abs(found[i]! - value)).toBeLessThan(1e-4 * peak);
      const own: Uint8Array[] = []; // codes, scales and offsets as they are
      for await (const chunk of convertCheckpoint(checkpoint, new Map())) own.push(chunk.slice());
      const converted = files({ 'x.safetensors': new Uint8Array(Buffer.concat(own)) });
      expect(await loadedLogits(converted, [5, 11])).toEqual(found);
    },
  );

  test('groups of 128 are exact', async () => {
    const { config, tensors } = small(4, 64, 'F16');
    const wide = affine(64, 128, 4, 128, 'F16');
    const all: Tensors = { ...tensors };
    for (const [name, tensor] of Object.entries(tensors))
      if (/\.(scales|biases)$/.test(name)) delete all[name];
      else if (tensor.dtype === 'U32') all[name] = { ...tensor, dtype: 'I32' };
    for (const kind of ['weight', 'scales', 'biases'] as const) all[`x.${kind}`] = wide[kind];
    const file = await mlxFile({ ...config, quantization_kwargs: { group_size: 128, bits: 4 } }, all);
    const checkpoint = await openCheckpoint(files({ 'x.safetensors': file }));
    const tensor = checkpoint.tensors.get('x.weight')!;
    expect([...toF32(await tensor.read(0, 64))]).toEqual(wide.values);
  });

  test('what is not supported or damaged is named', async () => {
    const { config, tensors } = small(4, 32, 'F16');
    const open = async (more: object, changed: Tensors = tensors) =>
      openCheckpoint(files({ 'x.safetensors': await mlxFile({ ...config, ...more }, changed) }));
    const model = (layer: object, more: object = {}) => ({
      model: { n_layer_repeats: 2, unique_layers: [{ layer, ...more }] },
    });
    const swiglu = { _class_: 'layers.ffn.SwiGLU' };
    await expectError(() => open(model({ _class_: 'layers.x.Y' })), 'UNSUPPORTED_MODEL', /layers\.x\.Y/);
    await expectError(() => open(model(swiglu, { norm_point: 'post' })), 'UNSUPPORTED_MODEL', /norm_point/);
    await expectError(() => open(model({ _class_: 'layers.ssd.ssd.SSD' })), 'INVALID_FILE', /conv_weight/);
    await expectError(() => open({ model: { n_layer_repeats: 9999 } }), 'INVALID_FILE', /layers/);
    const quantized = { quantization_kwargs: { group_size: 48 } };
    await expectError(() => open(quantized), 'INVALID_FILE', /groups of 32, 64 or 128/);
    const without = { ...tensors };
    delete without['head.linear.biases'];
    await expectError(() => open({}, without), 'INVALID_FILE', /'head\.linear\.weight'/, /no biases/);
  });

  test(`${5 * SCALE},000 mutants`, LONG, async () => {
    const { config, tensors } = small(4, 32, 'F16');
    const original = await mlxFile(config, tensors);
    await load({ 'model.safetensors': original });
    const header = 8 + Number(new DataView(original.buffer).getBigUint64(0, true));
    const tally = await fuzz('mlx', 5000 * SCALE, (random) => ({
      'model.safetensors': random.below(4) ? editHeader(original, random) : mutate(original, random, header),
    }));
    check(tally, 2000 * SCALE);
  });
});
