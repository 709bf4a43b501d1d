import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { Backend } from '../../src/backends/types.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { loadEngine } from '../../src/engine/load.ts';
import type { LoadEngineOptions } from '../../src/engine/types.ts';
import { loadFixture } from '../helpers/fixtures.ts';
import { generate, handle, ids, open, rejects } from './drive.ts';

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const exact: LoadEngineOptions = { backend: 'reference', quantize: 'none' };
const load = (options: LoadEngineOptions = exact, backends: readonly Backend[] = [reference]) =>
  loadEngine(NANO, options, { backends });

/** Ids that come with the model: prompts, and prompts with their greedy continuation. */
const known = (name: string) => [...loadFixture('nano').expected.get(name)!.values];

describe('nano', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await load();
  });
  afterAll(() => engine.dispose());

  test('says what it is', () => {
    expect(engine.info).toMatchObject({
      architecture: 'rene',
      backend: 'reference',
      why: 'asked for by a test; asked for',
      numerics: 'exact',
      weights: { kind: 'float', dtype: 'f16' },
      vocabSize: 1024,
      dModel: 96,
      nLayer: 6,
      maxSessions: 4,
      maxContext: Number.POSITIVE_INFINITY,
      chunk: 64,
      bosTokenId: 0,
      eosTokenIds: [0],
      hasTokenizer: true,
    });
    const { info } = engine;
    expect(info.parameters).toBeGreaterThan(400_000);
    expect(info.fingerprint).toMatch(/^[0-9a-f]{32}$/);
    expect(info.stateBytes).toBe(info.slotBytes * 5); // four sessions and a shadow
    expect(info.totalBytes).toBe(info.weightBytes + info.stateBytes + info.scratchBytes);
  });

  test('the tokens of the model, whatever the sessions and chunks', async () => {
    const prompt = known('p2.ids');
    const tokens = known('p2.greedy').slice(prompt.length, prompt.length + 24);
    const alone = await generate(engine, null, prompt, { maxTokens: 24, ignoreEos: true });
    expect(ids(alone.tokens)).toEqual(tokens);
    const s = await open(engine);
    for (const id of prompt) await engine.append(s, [id], handle());
    const pieces = await Promise.all([
      generate(engine, s, '', { maxTokens: 24, ignoreEos: true }),
      generate(engine, null, 'The cat', { maxTokens: 24 }),
    ]);
    expect(ids(pieces[0].tokens)).toEqual(tokens);
    await engine.closeSession(s);
  });

  test('text in, text out', async () => {
    const result = await generate(engine, null, 'Once upon a time', { maxTokens: 30 });
    expect(result.text).toBe(engine.decode(ids(result.tokens)));
    expect(result.text).toMatch(/^[ ,]/);
    const sentence = result.text.slice(0, result.text.indexOf('.'));
    const stopped = await generate(engine, null, 'Once upon a time', { maxTokens: 30, stop: '.' });
    expect(stopped).toMatchObject({ text: sentence, finishReason: 'stop', stop: '.' });
  });

  test('score agrees with the logits', async () => {
    const text = 'Once upon a time there was a little cat. She liked to play.';
    const tokens = await engine.encode(text);
    const score = await engine.score(text, handle());
    const logits = await engine.logits(tokens, tokens.length, handle());
    expect(score.ids).toEqual(tokens);
    expect(score.logprobs[0]).toBeNaN();
    let total = 0;
    for (let i = 1; i < tokens.length; i++) {
      const row = logits.subarray((i - 1) * 1024, i * 1024);
      const logprob = logSoftmax(row)[tokens[i]!]!;
      expect(score.logprobs[i]).toBeCloseTo(logprob, 4);
      total += logprob;
    }
    expect(score.total).toBeCloseTo(total, 3);
    expect(score.perplexity).toBeCloseTo(Math.exp(-total / (tokens.length - 1)), 3);
    const last = await engine.logits(tokens, 2, handle());
    expect(last).toEqual(logits.slice(-2 * 1024));
  });

  test('what can be asked of logits and score', async () => {
    await rejects(engine.logits([], 1, handle()), 'INVALID_ARGUMENT', /empty/);
    await rejects(engine.score('', handle()), 'INVALID_ARGUMENT', /empty/);
    for (const last of [0, 4, -1, 0.5, Number.NaN])
      await rejects(
        engine.logits([1, 2, 3], last, handle()),
        'INVALID_ARGUMENT',
        /1 to the number of tokens, 3/,
      );
    await rejects(engine.logits([1, 1024], 1, handle()), 'INVALID_ARGUMENT', /0 to 1023, found 1024/);
    const many = new Int32Array(300_000);
    await rejects(
      engine.logits(many, 300_000, handle()),
      'OUT_OF_MEMORY',
      /1228800000 bytes.*at most 262144 rows/,
    );
    expect((await engine.score([5], handle())).total).toBe(0);
  });

  test('log-probabilities sum to 1 over the vocabulary', async () => {
    const logits = await engine.logits([1, 2, 3], 1, handle());
    const expected = logSoftmax(logits);
    expect(expected.reduce((sum, l) => sum + Math.exp(l), 0)).toBeCloseTo(1, 5);
    const { tokens } = await generate(engine, null, [1, 2, 3], { maxTokens: 1, logprobs: 20 });
    expect(tokens[0]!.logprob).toBeCloseTo(expected[tokens[0]!.id]!, 5);
    const best = [...expected.keys()].sort((a, b) => expected[b]! - expected[a]! || a - b).slice(0, 20);
    expect(tokens[0]!.top!.map(({ id }) => id)).toEqual(best);
    for (const { id, logprob } of tokens[0]!.top!) expect(logprob).toBeCloseTo(expected[id]!, 5);
  });

  test('tests itself', async () => {
    const report = await engine.selfTest();
    expect(report).toMatchObject({ ok: true });
    expect(report.checks.map(({ name }) => name)).toEqual(['ops', 'formats', 'numbers', 'prefill']);
  });
});

function logSoftmax(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, l) => total + Math.exp(l - max), 0);
  return Float64Array.from(logits, (l) => l - max - Math.log(sum));
}
