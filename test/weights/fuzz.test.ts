import { readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { convertCheckpoint } from '../../src/weights/convert.ts';
import { GGML_TYPES } from '../../src/weights/gguf_header.ts';
import { Q4, Q8 } from '../../src/weights/quantize.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';
import { files, json } from './files.ts';
import { type Contents, check, fuzz, LONG, load, SCALE, smallMamba2 } from './fuzz.ts';
import { gguf } from './gguf_file.ts';
import { editHeader, editJson, mutate } from './mutate.ts';
import { rawTensors } from './reexport.ts';
import { torchFile } from './torch_file.ts';

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk.slice());
  return new Uint8Array(Buffer.concat(all));
}

async function container(contents: Contents): Promise<Contents> {
  const checkpoint = await openCheckpoint(files(contents));
  const formats = new Map(
    [...checkpoint.tensors]
      .filter(([name]) => /(embeddings|proj)\.weight/.test(name))
      .map(([name], i) => [name, i % 2 ? Q4 : Q8]),
  );
  return { 'model.safetensors': await bytesOf(convertCheckpoint(checkpoint, formats)) };
}

function sharded({ 'model.safetensors': model, ...rest }: Contents): Contents {
  const length = Number(new DataView(model!.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(model!.subarray(8, 8 + length))) as object;
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  return {
    ...rest,
    'one.safetensors': model!,
    'model.safetensors.index.json': json({
      weight_map: Object.fromEntries(names.map((name) => [name, 'one.safetensors'])),
    }),
  };
}

/** A model with a tokenizer; of k-quants where `width` is a multiple of 256. */
function smallGguf(width: 32 | 256): Uint8Array {
  const f32 = (n: number) => new Uint8Array(4 * n).fill(60);
  const inner = 2 * width;
  const matrix = (name: string, cols: number, rows: number, plain: number, k: number) => {
    const type = width === 256 ? k : plain;
    const { block, bytes } = GGML_TYPES[type]!;
    return { name, ne: [cols, rows], type, data: new Uint8Array(((cols * rows) / block) * bytes).fill(20) };
  };
  return gguf(
    [
      ['general.architecture', { string: 'mamba2' }],
      ['mamba2.embedding_length', { u32: width }],
      ['mamba2.block_count', { u32: 1 }],
      ['mamba2.ssm.conv_kernel', { u32: 4 }],
      ['mamba2.ssm.inner_size', { u32: inner }],
      ['mamba2.ssm.state_size', { u32: 4 }],
      ['mamba2.ssm.time_step_rank', { u32: 2 }],
      ['mamba2.ssm.group_count', { u32: 1 }],
      ['mamba2.attention.layer_norm_rms_epsilon', { f32: 1e-5 }],
      ['tokenizer.ggml.model', { string: 'gpt2' }],
      ['tokenizer.ggml.tokens', { array: [8, ['<s>', 'a', 'b', 'c', 'ab']] }],
      ['tokenizer.ggml.token_type', { array: [5, [3, 1, 1, 1, 1]] }],
      ['tokenizer.ggml.merges', { array: [8, ['a b']] }],
      ['tokenizer.ggml.eos_token_id', { u32: 0 }],
    ],
    [
      matrix('token_embd.weight', width, 8, 8, 14),
      { name: 'output_norm.weight', ne: [width], type: 0, data: f32(width) },
      { name: 'blk.0.attn_norm.weight', ne: [width], type: 0, data: f32(width) },
      matrix('blk.0.ssm_in.weight', width, 2 * inner + 10, 2, 12),
      { name: 'blk.0.ssm_conv1d.weight', ne: [4, inner + 8], type: 0, data: f32(4 * inner + 32) },
      { name: 'blk.0.ssm_conv1d.bias', ne: [inner + 8], type: 0, data: f32(inner + 8) },
      { name: 'blk.0.ssm_dt.bias', ne: [2], type: 0, data: f32(2) },
      { name: 'blk.0.ssm_a', ne: [1, 2], type: 0, data: f32(2) },
      { name: 'blk.0.ssm_d', ne: [1, 2], type: 0, data: f32(2) },
      { name: 'blk.0.ssm_norm.weight', ne: [inner, 1], type: 0, data: f32(inner) },
      matrix('blk.0.ssm_out.weight', inner, width, 8, 13),
    ],
  );
}

describe('mutated files', () => {
  test('the originals load', async () => {
    const original = smallMamba2();
    await load(original);
    await load(await container(original));
    await load(sharded(original));
    await load({ 'x.gguf': smallGguf(32) });
    await load({ 'x.gguf': smallGguf(256) });
  });

  test(`${7 * SCALE},000 safetensors`, LONG, async () => {
    const original = smallMamba2();
    const quantized = await container(original);
    const tally = await fuzz('safetensors', 7000 * SCALE, (random) => {
      const from = random.below(2) ? original : quantized;
      const model = from['model.safetensors']!;
      const header = 8 + Number(new DataView(model.buffer).getBigUint64(0, true));
      return {
        ...from,
        'model.safetensors': random.below(2) ? editHeader(model, random) : mutate(model, random, header),
      };
    });
    check(tally, 4000 * SCALE);
  });

  test(`${3 * SCALE},000 configs, indices and generation configs`, LONG, async () => {
    const originals = [smallMamba2(), sharded(smallMamba2())];
    const tally = await fuzz('config', 3000 * SCALE, (random) => {
      const from = originals[random.below(2)]!;
      const names = Object.keys(from).filter((name) => name.endsWith('.json'));
      const name = names[random.below(names.length)]!;
      const bytes = from[name]!;
      return {
        ...from,
        [name]: random.below(3) ? editJson(bytes, random) : mutate(bytes, random, bytes.length),
      };
    });
    check(tally, 1500 * SCALE);
  });

  test('500 of real fixtures', async () => {
    const folder = fixtureFolder('rene-a');
    const config = new Uint8Array(readFileSync(`${folder}/config.json`));
    const model = new Uint8Array(readFileSync(`${folder}/model.safetensors`));
    const header = 8 + Number(new DataView(model.buffer).getBigUint64(0, true));
    const tally = await fuzz('fixtures', 500, (random) => ({
      'config.json': random.below(4) ? config : editJson(config, random),
      'model.safetensors': random.below(4) ? editHeader(model, random) : mutate(model, random, header),
    }));
    check(tally, 250);
  });

  test(`${5 * SCALE},000 GGUF`, LONG, async () => {
    const originals = [smallGguf(32), smallGguf(32), smallGguf(32), smallGguf(32), smallGguf(256)];
    const tally = await fuzz('gguf', 5000 * SCALE, (random) => {
      const original = originals[random.below(originals.length)]!;
      return { 'x.gguf': mutate(original, random, 1700) }; // bytes of the header, about
    });
    check(tally, 2000 * SCALE);
  });

  test(`${5 * SCALE},000 of PyTorch`, LONG, async () => {
    const { 'config.json': config, 'model.safetensors': model } = smallMamba2();
    const tensors = rawTensors(model!);
    const originals = [{}, { zip64: true }, { deflate: true }].map((options) => torchFile(tensors, options));
    const tally = await fuzz('torch', 5000 * SCALE, (random) => {
      const original = originals[random.below(16) ? random.below(2) : 2]!; // inflating takes long
      const damaged = random.below(2)
        ? mutate(original, random, original.length)
        : torchFile(tensors, { edit: (pkl) => mutate(pkl, random, pkl.length) });
      return { 'config.json': config!, 'pytorch_model.bin': damaged };
    });
    check(tally, 2000 * SCALE);
  });
});
