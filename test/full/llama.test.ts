import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { openFileSet } from '../../src/io/fileset.ts';
import { writeFileAtomic } from '../../src/runtime/node.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { exportGguf } from '../../src/weights/gguf_export.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import type { Checkpoint } from '../../src/weights/types.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';
import { llamaError, needLlama } from '../helpers/llama.ts';
import { writeGguf } from '../helpers/made_gguf.ts';
import { files } from '../weights/files.ts';
import { type GgufValue, gguf } from '../weights/gguf_file.ts';
import { llamaGguf } from '../weights/llama_layout.ts';
import { loadedLogits } from '../weights/loaded.ts';
import { rawFixture } from '../weights/reexport.ts';
import { byteLevelVocabulary } from '../weights/small_vocabularies.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-llama-'));
afterAll(() => rmSync(folder, { recursive: true }));
const ids = [5, 100, 42, 7, 200];

/** A checkpoint, which it closes, as GGUF. */
async function exported(checkpoint: Checkpoint, name: string): Promise<string> {
  const blueprint = findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
  const program = blueprint.program({ chunk: 64, maxContext: 512 });
  const { formats } = weightFormats(checkpoint, blueprint.sources, program.weights, 'none');
  const file = join(folder, `${name}.gguf`);
  await writeFileAtomic(file, exportGguf({ ...blueprint, checkpoint, program, formats }));
  await checkpoint.close();
  return file;
}

describe("logits are llama.cpp's on the same GGUF file", () => {
  // llama.cpp rounds activations to 8 bits where weights are quantized; we don't, in exact numerics.
  test.for([
    ['f32', 1e-4],
    ['f16', 2e-3],
    ['q8_0', 3e-2],
    ['q4_0', 3e-2],
    ['q4_k', 3e-2],
    ['q6_k', 3e-2],
  ] as const)('%s', async ([quant, tolerance], context) => {
    needLlama(context);
    const file = join(folder, `${quant}.gguf`);
    const emb = quant.startsWith('q4') ? 'q6_k' : quant; // as llama-quantize does
    writeGguf(file, { model: 'tiny', quant, emb });
    const logits = await loadedLogits(await openFileSet(file), ids);
    const error = llamaError(file, ids, logits);
    console.log(`${quant}: relative error ${error.toExponential(1)}`);
    expect(error).toBeLessThan(tolerance);
  });
});

test.for([
  ['f32', 1e-4],
  ['q8_0', 3e-2],
  ['q4_0', 3e-2],
] as const)('%s read and exported again', async ([quant, tolerance], context) => {
  needLlama(context);
  const made = join(folder, `made-${quant}.gguf`);
  writeGguf(made, { model: 'tiny', quant });
  const file = await exported(await openCheckpoint(await openFileSet(made)), `again-${quant}`);
  expect(llamaError(file, ids, await loadedLogits(await openFileSet(file), ids))).toBeLessThan(tolerance);
});

describe("the hybrids' logits are llama.cpp's on files in its converter's layout", () => {
  test.for(['granite-hybrid', 'falcon-h1'])('%s', async (name, context) => {
    needLlama(context);
    const file = join(folder, `${name}.gguf`);
    writeFileSync(file, llamaGguf(rawFixture(name)));
    const error = llamaError(file, ids, await loadedLogits(await openFileSet(file), ids));
    console.log(`${name}: relative error ${error.toExponential(1)}`);
    expect(error).toBeLessThan(1e-3); // llama.cpp keeps keys and values as f16
  });

  test.for(['granite-hybrid', 'falcon-h1', 'falcon-h1-multipliers'])(
    '%s, exported',
    async (name, context) => {
      needLlama(context);
      const read = await openCheckpoint(await openFileSet(fixtureFolder(name)));
      const architecture: [string, GgufValue] = ['general.architecture', { string: 'other' }];
      const vocabulary = gguf([architecture, ...byteLevelVocabulary('gpt-2')]);
      const { tokenizer } = await openCheckpoint(files({ 'x.gguf': vocabulary }));
      const checkpoint = { ...read, tokenizer }; // llama.cpp loads no model without one
      const file = await exported(checkpoint, `${name}-exported`);
      const error = llamaError(file, ids, await loadedLogits(await openFileSet(file), ids));
      console.log(`${name}, exported: relative error ${error.toExponential(1)}`);
      expect(error).toBeLessThan(1e-3);
    },
  );
});
