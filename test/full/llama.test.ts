import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { openFileSet } from '../../src/io/fileset.ts';
import { writeFileAtomic } from '../../src/runtime/node.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { exportGguf } from '../../src/weights/gguf_export.ts';
import { weightFormats } from '../../src/weights/plan.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';

import { llamaError, needLlama } from '../helpers/llama.ts';
import { files } from '../weights/files.ts';
import { type GgufValue, gguf } from '../weights/gguf_file.ts';
import { llamaGguf } from '../weights/llama_layout.ts';
import { loadedLogits } from '../weights/loaded.ts';
import { rawFixture } from '../weights/reexport.ts';
import { byteLevelVocabulary } from '../weights/small_vocabularies.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-llama-'));
afterAll(() => rmSync(folder, { recursive: true }));
const maker = new URL('../../../shared/peers/make-gguf.mjs', import.meta.url).pathname;
const ids = [5, 100, 42, 7, 200];

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
    if (!existsSync(maker)) return context.skip('SKIP: no ../shared/peers');
    const { writeGguf } = await import(maker);
    const file = join(folder, `${quant}.gguf`);
    writeGguf(file, { model: 'tiny', quant });
    const logits = await loadedLogits(await openFileSet(file), ids);
    const error = llamaError(file, ids, logits);
    console.log(`${quant}: relative error ${error.toExponential(1)}`);
    expect(error).toBeLessThan(tolerance);
  });
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
      const blueprint = findArchitecture(read.config).read(read.config, read.tensors);
      const program = blueprint.program({ chunk: 64, maxContext: 512 });
      const { formats } = weightFormats(read, blueprint.sources, program.weights, 'none');
      const file = join(folder, `${name}-exported.gguf`);
      await writeFileAtomic(file, exportGguf({ ...blueprint, checkpoint, program, formats }));
      await read.close();
      const error = llamaError(file, ids, await loadedLogits(await openFileSet(file), ids));
      console.log(`${name}, exported: relative error ${error.toExponential(1)}`);
      expect(error).toBeLessThan(1e-3);
    },
  );
});
