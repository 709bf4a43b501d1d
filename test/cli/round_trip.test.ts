import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import { convert } from '../../src/cli/convert.ts';
import { Options } from '../../src/cli/options.ts';
import { describe as describeModel } from '../../src/engine/load.ts';
import { EdgeError } from '../../src/errors.ts';
import { openFileSet } from '../../src/io/fileset.ts';
import type { JsonObject, Quantize } from '../../src/types.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';
import { relativeError } from '../helpers/compare.ts';
import { FIXTURES, fixtureFolder } from '../helpers/fixtures.ts';
import { loadedLogits } from '../weights/loaded.ts';

vi.mock('../../src/runtime/terminal.node.ts', async (original) => ({
  ...(await original<object>()),
  print: async () => {},
  printError: () => {}, // GGUF files of models without tokenizers
}));

const IDS = [5, 11, 42, 7];
const HALF = 2e-3; // what rounding to f16 may cost
const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-round-trip-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs `edge-ssm convert`; where to. */
async function converted(source: string, out: string, how: string): Promise<string> {
  const to = join(folder, out);
  await convert.run(new Options([source, to, '--quantize', how], convert.options));
  return to;
}

const logits = async (path: string, quantize: Quantize = 'none') =>
  loadedLogits(await openFileSet(path), IDS, { last: IDS.length, quantize });

const info = (path: string) => describeModel(path, { backend: 'reference' }, { backends: [reference] });

async function configOf(path: string): Promise<JsonObject> {
  const checkpoint = await openCheckpoint(await openFileSet(path));
  await checkpoint.close();
  return checkpoint.config;
}

/** Loads what was written as it is, and compares it with the model as it is loaded `how`. */
async function expectSame(out: string, source: string, how: string): Promise<Float32Array> {
  const found = await logits(out);
  if (how === 'f16') expect(relativeError(found, await logits(source))).toBeLessThan(HALF);
  else expect(found).toEqual(await logits(source, how as Quantize));
  return found;
}

describe.each(FIXTURES)('%s', (name) => {
  const source = fixtureFolder(name);
  test.each(['none', 'q8', 'q4', 'f16'])('convert --quantize %s, load: the same logits', async (how) => {
    const out = await converted(source, `${name}-${how}`, how);
    const found = await expectSame(out, source, how);
    expect(await configOf(out)).toEqual(await configOf(source));
    // The weights alone hold their config, too.
    const alone = join(folder, `${name}-${how}.safetensors`);
    cpSync(join(out, 'model.safetensors'), alone);
    expect(await logits(alone)).toEqual(found);
    rmSync(out, { recursive: true });
  });

  test('to GGUF, where it has a place for the model', async () => {
    for (const how of ['none', 'q8', 'q4', 'f16']) {
      const error = await converted(source, `${name}-${how}.gguf`, how).catch((error: unknown) => error);
      if (error instanceof EdgeError) expect(error.code).toBe('UNSUPPORTED_MODEL');
      else if (name !== 'falcon-h1-multipliers') await expectSame(error as string, source, how);
      else {
        // llama.cpp has no parameters for multipliers: folded into weights, they round otherwise.
        const wanted = await logits(source, how === 'f16' ? 'none' : (how as Quantize));
        expect(relativeError(await logits(error as string), wanted)).toBeLessThan(
          how === 'none' ? 1e-5 : HALF,
        );
      }
    }
    if (/^(mamba2-[ab]|granite|falcon)/.test(name))
      expect(existsSync(join(folder, `${name}-none.gguf`))).toBe(true);
  });
});

describe('an infinite time_step_limit', () => {
  const spellings = ['Infinity', 'null', '"Infinity"', '"inf"', '{"__float__": "Infinity"}'];
  test.each(['mamba2-a', 'granite-hybrid', 'falcon-h1'])('%s: in any spelling', async (name) => {
    const source = fixtureFolder(name);
    const wanted = await logits(source);
    const text = readFileSync(join(source, 'config.json'), 'utf8');
    for (const [i, spelling] of spellings.entries()) {
      const from = join(folder, `${name}-spelled-${i}`);
      cpSync(source, from, { recursive: true });
      const limit = `"time_step_limit": [0.0, ${spelling}]`;
      const spelled = text.replace(/"time_step_limit": \[[^\]]*\]/, limit);
      expect(spelled).toContain(limit);
      writeFileSync(join(from, 'config.json'), spelled);
      expect(await logits(from)).toEqual(wanted);
      const out = await converted(from, `${name}-infinite-${i}`, 'none');
      expect(await logits(out)).toEqual(wanted);
    }
  });
});

describe('defaults of generation go along', () => {
  const said = { do_sample: true, temperature: 0.6, top_k: 20, top_p: 0.95, repetition_penalty: 1.05 };
  const defaults = { temperature: 0.6, topK: 20, topP: 0.95, repetitionPenalty: 1.05 };
  const ends = { bos_token_id: 4, eos_token_id: [3, 5] };
  const modelWith = (name: string, generation: object) => {
    const from = mkdtempSync(join(folder, 'generation-'));
    cpSync(fixtureFolder(name), from, { recursive: true });
    const tokenizer = fileURLToPath(new URL('../models/nano/tokenizer.json', import.meta.url));
    if (name === 'nano') cpSync(tokenizer, join(from, 'tokenizer.json'));
    writeFileSync(join(from, 'generation_config.json'), JSON.stringify(generation));
    return from;
  };

  test.each([
    [{ ...said, ...ends }, defaults],
    [
      { ...said, top_k: 0, ...ends },
      { ...defaults, topK: 0 },
    ],
    [{ repetition_penalty: 1.2, temperature: 0.6, ...ends }, { repetitionPenalty: 1.2 }],
    [{}, {}],
  ])('%o', async (generation, generationDefaults) => {
    const from = modelWith('mamba2-a', generation);
    const { bosTokenId, eosTokenIds, ...before } = await info(from);
    expect(before.generationDefaults).toEqual(generationDefaults);
    const out = await converted(from, 'with-defaults', 'none');
    expect(readdirSync(out)).toContain('generation_config.json');
    expect(await info(out)).toMatchObject({ bosTokenId, eosTokenIds, generationDefaults });
    const gguf = await converted(from, 'with-defaults.gguf', 'none');
    const again = await converted(gguf, 'from-gguf', 'none');
    for (const path of [gguf, again]) {
      const { temperature = 0, ...found } = (await info(path)).generationDefaults;
      expect({ ...found, ...(temperature > 0 && { temperature }) }).toEqual(generationDefaults);
    }
  });
});
