import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { loadEngine } from '../../src/engine/load.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { generate, handle, ids } from '../engine/drive.ts';
import { relativeError } from '../helpers/compare.ts';
import { sharedData } from '../helpers/provided.ts';
import { parseSafetensors } from '../helpers/safetensors.ts';
import { variant } from './host.ts';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const MASTER = path('../../models/train/master');
const SHIPPED = path('../../models/tiny');

/** Errors of the logits of every prompt that `expected.safetensors` knows, and its greedy texts, wanted and found. */
async function compare(model: string, expectedIn: string, options: EngineOptions) {
  const engine = await loadEngine(model, { threads: 1, ...options }, { backends: [variant('simd')] });
  const expected = parseSafetensors(readFileSync(`${expectedIn}/expected.safetensors`));
  const errors: number[] = [];
  const greedy: { wanted: number[]; found: number[] }[] = [];
  for (const [key, { values }] of expected) {
    const [name, kind] = key.split('.');
    const prompt = Array.from(expected.get(`${name}.ids`)!.values);
    if (kind === 'logits')
      errors.push(relativeError(await engine.logits(prompt, prompt.length, handle()), values));
    if (kind !== 'greedy') continue;
    const maxTokens = values.length - prompt.length;
    const { tokens } = await generate(engine, null, prompt, {
      maxTokens,
      ignoreEos: true,
      repetitionPenalty: 1,
    });
    greedy.push({ wanted: Array.from(values), found: [...prompt, ...ids(tokens)] });
  }
  await engine.dispose();
  expect([errors.length, greedy.length]).toEqual([4, 4]);
  return { errors, greedy };
}

describe('the embedded model', () => {
  const asTrained = async (folder: string) => {
    const { errors, greedy } = await compare(folder, folder, { quantize: 'none', numerics: 'exact' });
    for (const error of errors) expect(error).toBeLessThanOrEqual(1e-4);
    for (const { wanted, found } of greedy) expect(found).toEqual(wanted);
  };

  test('float16 master: the logits and greedy tokens of the code that trained it', () => asTrained(MASTER));

  test('float16 master of the first one: likewise', (context) =>
    asTrained(sharedData(context, 'models/tiny')));

  test('as shipped, 8 bits: within 3e-2 of the master', async () => {
    const { errors } = await compare(SHIPPED, MASTER, { numerics: 'exact' });
    for (const error of errors) expect(error).toBeLessThanOrEqual(3e-2);
  });
});
