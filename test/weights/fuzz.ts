/** What mutated files of every format go through. */
import { expect } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { EdgeError } from '../../src/errors.ts';
import { MemorySource } from '../../src/io/memory.ts';
import type { ByteSource, FileSet } from '../../src/io/types.ts';
import { parseTokenizer } from '../../src/tokenizer/index.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import { uploadWeights } from '../../src/weights/upload.ts';
import { FULL } from '../helpers/full.ts';
import { Random } from '../helpers/random.ts';
import { json, simpleSafetensors } from './files.ts';

export const SCALE = FULL ? 20 : 1; // 100,000 of each format in test:full
export const LONG = { timeout: 30 * 60_000 };

export type Contents = Record<string, Uint8Array>;

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
export async function load(contents: Contents): Promise<void> {
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
  await uploadWeights(checkpoint, sources, weights, formats, () => ({ put() {} }), { blockRows: 64 });
}

/** Shrinks a fixture: a real structure, small enough to be loaded thousands of times. */
export function smallMamba2(): Contents {
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

interface Tally {
  loaded: number;
  refused: number;
}

/** Loads mutants. Anything but success and an EdgeError that is no defect of ours fails. */
export async function fuzz(
  seed: string,
  count: number,
  mutant: (random: Random) => Contents,
): Promise<Tally> {
  const random = new Random(seed);
  const tally: Tally = { loaded: 0, refused: 0 };
  for (let i = 0; i < count; i++) {
    const contents = mutant(random);
    try {
      await load(contents);
      tally.loaded++;
    } catch (error) {
      if (!(error instanceof EdgeError) || error.code === 'INTERNAL')
        throw new Error(`mutant ${i} of '${seed}' gives ${error}`, { cause: error });
      expect(error.message.length).toBeLessThan(1000);
      tally.refused++;
    }
  }
  return tally;
}

/** A mutant that hangs ends the test by its time-out. */
export function check({ refused }: Tally, atLeast: number): void {
  expect(refused).toBeGreaterThan(atLeast);
}
