import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { EdgeError } from '../../src/errors.ts';
import { MemorySource } from '../../src/io/memory.ts';
import type { ByteSource, FileSet } from '../../src/io/types.ts';
import { parseTokenizer } from '../../src/tokenizer/index.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { convertCheckpoint } from '../../src/weights/convert.ts';
import { GGML_TYPES } from '../../src/weights/gguf_header.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import { Q4, Q8 } from '../../src/weights/quantize.ts';
import { uploadWeights } from '../../src/weights/upload.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';
import { Random } from '../helpers/random.ts';
import { files, json, simpleSafetensors } from './files.ts';
import { gguf } from './gguf_file.ts';
import { editHeader, editJson, mutate } from './mutate.ts';

const SCALE = process.env.EDGE_SSM_FULL === '1' ? 20 : 1; // 100,000 of each format in test:full
const LONG = { timeout: 30 * 60_000 };

type Contents = Record<string, Uint8Array>;

/** Readers may not ask for more than there is: that is what keeps their memory below the file's size. */
class WatchedSource implements ByteSource {
  readonly size: number;
  private readonly inner: MemorySource;
  constructor(
    readonly name: string,
    bytes: Uint8Array,
  ) {
    this.size = bytes.length;
    this.inner = new MemorySource(name, bytes);
  }
  read(offset: number, length: number): Promise<Uint8Array> {
    if (!(length <= this.size)) throw new Error(`a read of ${length} of ${this.size} bytes`);
    return this.inner.read(offset, length);
  }
  async close(): Promise<void> {}
}

function watched(contents: Contents): FileSet {
  return {
    name: 'fuzz',
    open: async (file) => (contents[file] ? new WatchedSource(file, contents[file]) : null),
    list: async () => Object.keys(contents),
  };
}

/** Everything that loading does before a device is needed. */
async function load(contents: Contents): Promise<void> {
  const checkpoint = await openCheckpoint(watched(contents));
  await checkpoint.fingerprint();
  const { sources, program } = findArchitecture(checkpoint.config).read(
    checkpoint.config,
    checkpoint.tensors,
  );
  const { weights, vocabSize } = program({ chunk: 64, maxContext: 512 });
  const { tokenizer } = checkpoint;
  if (tokenizer !== null) parseTokenizer({ name: 'fuzz', tokenizer }, vocabSize);
  const { formats } = weightFormats(checkpoint, sources, weights);
  await uploadWeights(checkpoint, sources, weights, formats, () => {}, { blockRows: 64 });
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk.slice());
  return new Uint8Array(Buffer.concat(all));
}

/** Shrinks a fixture: a real structure, small enough to be loaded thousands of times. */
function smallMamba2(): Contents {
  const F32 = (...shape: number[]) => ({ dtype: 'F32', shape });
  const mixer = 'backbone.layers.0.mixer';
  return {
    'config.json': json({
      architectures: ['Mamba2ForCausalLM'],
      model_type: 'mamba2',
      hidden_size: 8,
      num_hidden_layers: 1,
      vocab_size: 16,
      conv_kernel: 4,
      state_size: 4,
      n_groups: 1,
      num_heads: 2,
      head_dim: 8,
      expand: 2,
      tie_word_embeddings: true,
      eos_token_id: 0,
      time_step_limit: [0, { __float__: 'Infinity' }],
    }),
    'model.safetensors': simpleSafetensors(
      {
        'backbone.embeddings.weight': { dtype: 'F16', shape: [16, 8] },
        'backbone.norm_f.weight': F32(8),
        'backbone.layers.0.norm.weight': F32(8),
        [`${mixer}.in_proj.weight`]: { dtype: 'BF16', shape: [16 + 16 + 8 + 2, 8] },
        [`${mixer}.conv1d.weight`]: F32(24, 1, 4),
        [`${mixer}.conv1d.bias`]: F32(24),
        [`${mixer}.dt_bias`]: F32(2),
        [`${mixer}.A_log`]: F32(2),
        [`${mixer}.D`]: F32(2),
        [`${mixer}.norm.weight`]: F32(16),
        [`${mixer}.out_proj.weight`]: F32(8, 16),
      },
      { format: 'pt' },
    ),
    'generation_config.json': json({ eos_token_id: [0] }),
  };
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

interface Tally {
  loaded: number;
  refused: number;
  slowest: number; // ms
}

/** Loads mutants. Anything but success and an EdgeError that is no defect of ours fails. */
async function fuzz(seed: string, count: number, mutant: (random: Random) => Contents): Promise<Tally> {
  const random = new Random(seed);
  const tally: Tally = { loaded: 0, refused: 0, slowest: 0 };
  for (let i = 0; i < count; i++) {
    const contents = mutant(random);
    const began = performance.now();
    try {
      await load(contents);
      tally.loaded++;
    } catch (error) {
      if (!(error instanceof EdgeError) || error.code === 'INTERNAL')
        throw new Error(`mutant ${i} of '${seed}' gives ${error}`, { cause: error });
      expect(error.message.length).toBeLessThan(1000);
      tally.refused++;
    }
    tally.slowest = Math.max(tally.slowest, performance.now() - began);
  }
  return tally;
}

/** A hang is minutes; a busy machine is not to fail this. */
function check({ refused, slowest }: Tally, atLeast: number): void {
  expect(refused).toBeGreaterThan(atLeast);
  expect(slowest).toBeLessThan(10_000);
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
});
