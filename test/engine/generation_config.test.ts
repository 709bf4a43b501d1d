import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import { generationDefaults } from '../../src/cli/report.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { readGenerationConfig } from '../../src/engine/language/generation_config.ts';
import { loadEngine } from '../../src/engine/load.ts';
import type { GenerateOptions, GenerationDefaults } from '../../src/engine/types.ts';
import type { EdgeError } from '../../src/errors.ts';
import type { JsonObject } from '../../src/types.ts';
import { generate, ids } from './drive.ts';

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const VOCAB = 1024;
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** nano with a generation_config.json. */
function load(generation: JsonObject): Promise<Engine> {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-generation-'));
  folders.push(folder);
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json'])
    writeFileSync(join(folder, name), readFileSync(join(NANO, name)));
  writeFileSync(join(folder, 'generation_config.json'), JSON.stringify(generation));
  return loadEngine(folder, { backend: 'reference', quantize: 'none' }, { backends: [reference] });
}

const read = (generationConfig: JsonObject | null) =>
  readGenerationConfig({ name: 'm', generationConfig }, VOCAB);

describe('what a file comes to', () => {
  const sampling = { temperature: 0.6, top_k: 20, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.05 };
  const cases: [string, JsonObject | null, GenerationDefaults][] = [
    ['no file', null, {}],
    ['what transformers writes of itself', { _from_model_config: true, transformers_version: '4.57.1' }, {}],
    [
      'a model that samples',
      { do_sample: true, ...sampling },
      { temperature: 0.6, topK: 20, topP: 0.9, minP: 0.05, repetitionPenalty: 1.05 },
    ],
    ["transformers' own defaults", { do_sample: true }, { temperature: 1, topK: 50 }],
    ['no top-k', { do_sample: true, top_k: 0 }, { temperature: 1, topK: 0 }],
    ['no top-k, as null', { do_sample: true, top_k: null, temperature: null }, { temperature: 1 }],
    ['no top-k, as −1', { do_sample: true, top_k: -1 }, { temperature: 1 }],
    ['one token left', { do_sample: true, temperature: 0.7, top_p: 0, top_k: 9 }, { topK: 9 }],
    ['a temperature of 0', { do_sample: true, temperature: 0, top_k: 5 }, { temperature: 0, topK: 5 }],
    ['without do_sample: greedy', sampling, { topK: 20, topP: 0.9, minP: 0.05, repetitionPenalty: 1.05 }],
    ['do_sample false', { do_sample: false, temperature: 0.6 }, {}],
    [
      'do_sample null',
      { do_sample: null, temperature: 0.6, repetition_penalty: 1.1 },
      { repetitionPenalty: 1.1 },
    ],
    ['fields of no option', { max_new_tokens: 9, num_beams: 4, penalty_alpha: 'x', cache: {} }, {}],
  ];
  test.each(cases)('%s', (_, config, defaults) => {
    expect(read(config).defaults).toEqual(defaults);
  });

  test('bos and eos; of a list those that the vocabulary has', () => {
    const idsOf = (config: JsonObject) => {
      const { bosTokenId, eosTokenIds } = read(config);
      return [bosTokenId, eosTokenIds];
    };
    expect(idsOf({})).toEqual([null, null]);
    expect(idsOf({ bos_token_id: null, eos_token_id: null })).toEqual([null, null]);
    expect(idsOf({ bos_token_id: 3, eos_token_id: 7 })).toEqual([3, [7]]);
    expect(idsOf({ bos_token_id: -1, eos_token_id: [5, -1, VOCAB, 7, 2 ** 31] })).toEqual([null, [5, 7]]);
    expect(idsOf({ eos_token_id: -1 })).toEqual([null, []]); // none, rather than config.json's
  });

  test.each<[JsonObject, RegExp]>([
    [{ temperature: '0.6' }, /temperature must be a number: .*; found "0.6"/],
    [{ temperature: -1 }, /temperature must be .* found -1/],
    [{ top_k: 1.5 }, /top_k must be .* found 1.5/],
    [{ top_p: 2 }, /top_p must be .* found 2/],
    [{ min_p: 1 }, /min_p must be/],
    [{ repetition_penalty: 0 }, /repetition_penalty must be/],
    [{ do_sample: 'yes' }, /do_sample must be true or false, found "yes"/],
    [{ eos_token_id: 'x' }, /eos_token_id must be a token id or a list of them, found "x"/],
    [{ bos_token_id: 1.5 }, /bos_token_id must be/],
  ])('%o is refused by name', (config, message) => {
    try {
      read(config);
    } catch (error) {
      expect((error as EdgeError).code).toBe('INVALID_FILE');
      expect((error as EdgeError).message).toMatch(/^m: generation_config\.json: /);
      return expect((error as EdgeError).message).toMatch(message);
    }
    throw new Error('nothing was refused');
  });
});

describe('the defaults of generate', async () => {
  const plain = await load({});
  const engine = await load({
    do_sample: true,
    temperature: 0.8,
    top_k: 30,
    repetition_penalty: 1.3,
    eos_token_id: [5, 7],
  });
  afterAll(() => Promise.all([plain.dispose(), engine.dispose()]));
  const tokens = async (of: Engine, options: GenerateOptions) =>
    ids((await generate(of, null, [1, 2, 3], { maxTokens: 24, ignoreEos: true, ...options })).tokens);
  const said = { temperature: 0.8, topK: 30, repetitionPenalty: 1.3 };

  test('are shown, and are what options give that say the same', async () => {
    expect(engine.info).toMatchObject({ generationDefaults: said, eosTokenIds: [5, 7] });
    expect(plain.info.generationDefaults).toEqual({});
    const found = await tokens(engine, { seed: 3 });
    expect(found).toEqual(await tokens(plain, { ...said, seed: 3 }));
    expect(found).not.toEqual(await tokens(plain, { seed: 3 }));
    expect(await tokens(engine, { seed: 3, temperature: undefined as never })).toEqual(found);
  });

  test('give way to options, one by one', async () => {
    const off = { temperature: 0, topK: 0, repetitionPenalty: 1 };
    expect(await tokens(engine, off)).toEqual(await tokens(plain, {}));
    expect(await tokens(engine, { temperature: 0 })).toEqual(await tokens(plain, { repetitionPenalty: 1.3 }));
    const seed = 4;
    expect(await tokens(engine, { seed, topK: 2 })).toEqual(await tokens(plain, { ...said, seed, topK: 2 }));
  });

  test('in words', () => {
    expect(generationDefaults({})).toBe('greedy');
    expect(generationDefaults({ repetitionPenalty: 1.2 })).toBe('greedy, repetition-penalty 1.2');
    expect(generationDefaults(said)).toBe('temperature 0.8, top-k 30, repetition-penalty 1.3');
  });
});
