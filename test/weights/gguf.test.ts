import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openFileSet } from '../../src/io/fileset.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { toF32 } from '../../src/weights/dequantize.ts';
import { f16ToNumber, f32ToF16, numberToF16 } from '../../src/weights/half.ts';
import { f32ToBf16 } from '../helpers/bf16.ts';
import { writeGguf } from '../helpers/made_gguf.ts';
import { sharedData } from '../helpers/provided.ts';
import { Random } from '../helpers/random.ts';
import { expectError, files } from './files.ts';
import { type GgufTensor, type GgufValue, gguf } from './gguf_file.ts';

const ARCH: [string, GgufValue] = ['general.architecture', { string: 'other' }];
const open = (bytes: Uint8Array, name = 'x.gguf') => openCheckpoint(files({ [name]: bytes }));
const refuse = (bytes: Uint8Array, ...patterns: RegExp[]) =>
  expectError(() => open(bytes), 'INVALID_FILE', /x\.gguf/, ...patterns);
const random = new Random('gguf');
const f32Bytes = (x: Float32Array) => new Uint8Array(x.buffer);
const block = (...parts: (number | number[])[]) => Uint8Array.from(parts.flat());
const half = (x: number) => [numberToF16(x) & 255, numberToF16(x) >> 8];

describe('GGUF tensors', () => {
  test('F32, F16 and BF16 are exact', async () => {
    const values = random.floats(6, () => random.normal());
    const checkpoint = await open(
      gguf(
        [ARCH],
        [
          { name: 'f32', ne: [3, 2], type: 0, data: f32Bytes(values) },
          { name: 'f16', ne: [3, 2], type: 1, data: new Uint8Array(f32ToF16(values).buffer) },
          { name: 'bf16', ne: [3, 2], type: 30, data: new Uint8Array(f32ToBf16(values).buffer) },
        ],
      ),
    );
    const read = async (name: string) => toF32(await checkpoint.tensors.get(name)!.read(0, 2));
    expect(checkpoint.tensors.get('f32')!.shape).toEqual([2, 3]);
    expect([...(await read('f32'))]).toEqual([...values]);
    expect([...(await read('f16'))]).toEqual([...values].map((x) => f16ToNumber(numberToF16(x))));
    for (const [i, x] of (await read('bf16')).entries())
      expect(Math.abs(x - values[i]!)).toBeLessThanOrEqual(Math.abs(x) * 2 ** -8);
    expect([...toF32(await checkpoint.tensors.get('f32')!.read(1, 1))]).toEqual([...values.subarray(3)]);
  });

  test('a file of 123 tensors, whose ninth byte is that of a brace, is GGUF all the same', async () => {
    const tensors = Array.from({ length: 123 }, (_, i) => ({
      name: `t${i}`,
      ne: [1],
      type: 0,
      data: f32Bytes(Float32Array.of(i)),
    }));
    const bytes = gguf([ARCH], tensors);
    expect(bytes[8]).toBe('{'.charCodeAt(0));
    expect((await open(bytes)).tensors.size).toBe(123);
  });

  test('Q4_0: element i in the low nibble of byte i, i + 16 in the high one, minus 8', async () => {
    const codes = Array.from({ length: 64 }, () => random.below(16)); // two blocks
    const bytes = (b: number) =>
      Array.from({ length: 16 }, (_, i) => codes[32 * b + i]! | (codes[32 * b + 16 + i]! << 4));
    const data = block(half(0.5), bytes(0), half(-2), bytes(1));
    const checkpoint = await open(gguf([ARCH], [{ name: 'w', ne: [32, 2], type: 2, data }]));
    const tensor = await checkpoint.tensors.get('w')!.read(0, 2);
    expect(tensor.format).toEqual({ kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: false });
    expect([...toF32(tensor)]).toEqual(codes.map((q, i) => (q - 8) * (i < 32 ? 0.5 : -2)));
  });

  test('Q4_1: scale and minimum', async () => {
    const codes = Array.from({ length: 32 }, () => random.below(16));
    const data = block(
      half(0.25),
      half(-3),
      Array.from({ length: 16 }, (_, i) => codes[i]! | (codes[16 + i]! << 4)),
    );
    const checkpoint = await open(gguf([ARCH], [{ name: 'w', ne: [32], type: 3, data }]));
    const tensor = await checkpoint.tensors.get('w')!.read(0, 1);
    expect([...toF32(tensor)]).toEqual(codes.map((q) => 0.25 * q - 3));
  });

  test('Q8_0: signed bytes', async () => {
    const codes = Array.from({ length: 96 }, (_, i) =>
      i === 0 ? -128 : i === 1 ? 127 : random.below(256) - 128,
    );
    const scales = [0.5, 2, -1];
    const data = block(
      ...scales.flatMap((d, b) => [half(d), codes.slice(32 * b, 32 * b + 32).map((q) => q & 255)]),
    );
    const checkpoint = await open(gguf([ARCH], [{ name: 'w', ne: [96], type: 8, data }]));
    const tensor = await checkpoint.tensors.get('w')!.read(0, 1);
    expect([...toF32(tensor)]).toEqual(codes.map((q, i) => q * scales[Math.floor(i / 32)]!));
  });

  test('types without a reader have shapes and sizes, but are refused when read', async () => {
    const checkpoint = await open(
      gguf([ARCH], [{ name: 'w', ne: [256], type: 10, data: new Uint8Array(84) }]),
    );
    expect(checkpoint.tensors.get('w')).toMatchObject({ dtype: 'Q2_K', format: null });
    await expectError(() => checkpoint.tensors.get('w')!.read(0, 1), 'UNSUPPORTED_MODEL', /'w'/, /Q2_K/);
  });
});

describe('GGUF header', () => {
  test('metadata of every type, version 2, other alignments', async () => {
    const checkpoint = await open(
      gguf(
        [
          ARCH,
          ['general.alignment', { u32: 64 }],
          ['a', { f32: 0.5 }],
          ['b', { bool: true }],
          ['c', { u64: 5 }],
          ['d', { array: [8, ['é', '', 'x']] }],
          ['e', { array: [4, [1, 2]] }],
          ['f', { raw: [1, [0xff]] }],
          ['g', { raw: [11, [0xfe, 255, 255, 255, 255, 255, 255, 255]] }],
          ['h', { raw: [12, [0, 0, 0, 0, 0, 0, 0xf8, 0x3f]] }],
          ['i', { raw: [9, [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7, 8]] }],
        ],
        [{ name: 'w', ne: [1], type: 0, data: f32Bytes(new Float32Array([7])) }],
        { version: 2, alignment: 64 },
      ),
    );
    const { 'general.alignment': _, 'general.architecture': __, ...rest } = checkpoint.metadata;
    expect(rest).toEqual({
      a: 0.5,
      b: true,
      c: 5,
      d: ['é', '', 'x'],
      e: [1, 2],
      f: -1,
      g: -2,
      h: 1.5,
      i: [[7, 8]],
    });
    expect([...toF32(await checkpoint.tensors.get('w')!.read(0, 1))]).toEqual([7]);
    expect(checkpoint.config).toEqual({ 'general.architecture': 'other' });
  });

  test('a header longer than the first read', async () => {
    const tokens = Array.from({ length: 200_000 }, (_, i) => `token ${i}`);
    const checkpoint = await open(gguf([ARCH, ['t', { array: [8, tokens] }]]));
    expect(checkpoint.metadata.t).toEqual(tokens);
  });

  test('is known by its first bytes, whatever the file is called', async () => {
    expect((await open(gguf([ARCH]), 'model.safetensors')).container).toBe('gguf');
  });

  test('truncated anywhere', async () => {
    const w: GgufTensor = { name: 'w', ne: [8], type: 0, data: new Uint8Array(32) };
    const whole = gguf([ARCH, ['d', { array: [8, ['a', 'b']] }]], [w]);
    await open(whole);
    for (let length = 0; length < whole.length; length++)
      await expectError(() => open(whole.subarray(0, length)), 'INVALID_FILE', /x\.gguf/);
  });

  test('lies', async () => {
    const w = (more: Partial<GgufTensor>): GgufTensor => ({
      name: 'w',
      ne: [8],
      type: 0,
      data: new Uint8Array(32),
      ...more,
    });
    for (const tensorCount of [2, 1000, 65_537, 2n ** 40n, 2n ** 64n - 1n])
      await refuse(gguf([ARCH], [w({})], { tensorCount }));
    for (const pairCount of [2, 65_537, 2n ** 63n]) await refuse(gguf([ARCH], [w({})], { pairCount }));
    for (const ne of [[2 ** 60], [2n ** 32n, 2n ** 32n], [2n ** 63n, 2], [65536, 65536, 65536, 65536], [9]])
      await refuse(gguf([ARCH], [w({ ne })]), /'w'/);
    await refuse(gguf([ARCH], [w({ ne: [1, 1, 1, 1, 8] })]), /5 dimensions/);
    for (const offset of [32, 2n ** 40n, 2n ** 63n, 7]) await refuse(gguf([ARCH], [w({ offset })]), /'w'/);
    await refuse(gguf([ARCH], [w({}), w({})]), /'w' occurs twice/);
    await refuse(gguf([ARCH], [w({}), w({ name: 'v', offset: 0 })]), /'w' and 'v' overlap/);
    await refuse(gguf([ARCH, ARCH], [w({})]), /occurs twice/);
    await refuse(gguf([ARCH], [w({ ne: [8], type: 2 })]), /multiple of Q4_0/);
    await refuse(gguf([ARCH], [w({ name: 'n'.repeat(600) })]), /string of 600/);
    await refuse(gguf([]), /general\.architecture/);
    await refuse(gguf([['general.architecture', { u32: 3 }]]), /general\.architecture/);
    for (const alignment of [0, 3, 2 ** 31])
      await refuse(gguf([ARCH, ['general.alignment', { u32: alignment }]]), /alignment/);
    await refuse(gguf([ARCH, ['k', { raw: [13, []] }]]), /type 13/);
    await refuse(gguf([ARCH, ['k', { raw: [8, [255, 255, 255, 255, 255, 255, 255, 127]] }]]), /string of/);
    await refuse(
      gguf([ARCH, ['k', { raw: [9, [0, 0, 0, 0, 255, 255, 255, 255, 255, 0, 0, 0]] }]]),
      /elements/,
    );
    const nested = [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    await refuse(gguf([ARCH, ['k', { raw: [9, Array(50).fill(nested).flat()] }]]), /nested/);
    for (const version of [0, 1, 4, 0x03000000])
      await expectError(() => open(gguf([ARCH], [], { version })), 'UNSUPPORTED_MODEL', /version/);
    await expectError(() => open(gguf([ARCH, ['split.count', { u32: 2 }]])), 'UNSUPPORTED_MODEL', /parts/);
  });

  test('metadata alone', async () => {
    const checkpoint = await open(gguf([['general.architecture', { string: 'llama' }]]));
    expect(checkpoint.tensors.size).toBe(0);
    expect(checkpoint.config).toEqual({ 'general.architecture': 'llama' });
  });

  test.for(['empty.gguf', 'tiny.gguf', 'ggml-vocab-gpt-neox.gguf'])(
    '%s of other makers',
    async (name, context) => {
      const path = sharedData(context, `data/model-files/${name}`);
      const opened = async () => openCheckpoint(await openFileSet(path));
      if (name === 'tiny.gguf') return expectError(opened, 'INVALID_FILE', /tiny\.gguf/, /'test\.weight\.0'/);
      const checkpoint = await opened();
      expect(checkpoint.tensors.size).toBe(0);
      if (name === 'empty.gguf') expect(checkpoint.config).toEqual({ 'general.architecture': 'llama' });
      else expect((checkpoint.metadata['tokenizer.ggml.tokens'] as string[]).length).toBeGreaterThan(50_000);
      await checkpoint.close();
    },
  );
});

describe('a mamba2 GGUF', () => {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const plain = join(folder, 'plain.gguf');
  const { params } = writeGguf(plain, { model: 'tiny', quant: 'f32' });

  test.each(['f32', 'f16', 'q8_0', 'q4_0', 'q4_k', 'q6_k'])(
    '%s has the config and names of transformers',
    async (quant) => {
      const path = join(folder, `${quant}.gguf`);
      writeGguf(path, { model: 'tiny', quant, emb: quant });
      const checkpoint = await openCheckpoint(await openFileSet(path));
      const floats = await openCheckpoint(await openFileSet(plain));
      expect(checkpoint.config).toMatchObject({
        model_type: 'mamba2',
        hidden_size: 256,
        num_hidden_layers: 4,
        vocab_size: 1024,
        conv_kernel: 4,
        state_size: 128,
        n_groups: 1,
        num_heads: 8,
        head_dim: 64,
        expand: 2,
        tie_word_embeddings: true,
        use_bias: false,
        use_conv_bias: true,
        bos_token_id: 0,
        eos_token_id: [0],
      });
      const shape = (name: string) => checkpoint.tensors.get(`backbone.layers.3.mixer.${name}`)?.shape;
      expect(shape('A')).toEqual([8]);
      expect(shape('D')).toEqual([8]);
      expect(shape('norm.weight')).toEqual([512]);
      expect(shape('conv1d.weight')).toEqual([768, 4]);
      expect(shape('in_proj.weight')).toEqual([512 + 768 + 8, 256]);
      let counted = 0;
      for (const [name, tensor] of checkpoint.tensors) {
        const wanted = toF32(await floats.tensors.get(name)!.read(0, tensor.rows));
        const found = toF32(await tensor.read(0, tensor.rows));
        counted += found.length;
        const peak = wanted.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
        const step = {
          F32: 0,
          F16: peak / 1024,
          Q8_0: peak / 127,
          Q4_0: peak / 7.5,
          Q4_K: peak / 7.5,
          Q6_K: peak / 31,
        }[tensor.dtype]!;
        const worst = found.reduce((a, x, i) => Math.max(a, Math.abs(x - wanted[i]!)), 0);
        expect(worst, name).toBeLessThanOrEqual(step);
      }
      expect(counted).toBe(params);
      if (quant === 'q8_0') {
        // Rows are the same whatever rows are read with them.
        const tensor = checkpoint.tensors.get('backbone.layers.0.mixer.out_proj.weight')!;
        const row = toF32(await tensor.read(5, 1));
        const again = toF32(await tensor.read(4, 3)).subarray(512, 1024);
        expect([...row]).toEqual([...again]);
      }
      await Promise.all([checkpoint.close(), floats.close()]);
    },
  );
});
