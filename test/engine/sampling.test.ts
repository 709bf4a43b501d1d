import { describe, expect, test } from 'vitest';
import type { GenerateOptions } from '../../src/engine/types.ts';
import { generate, ids } from './drive.ts';
import { fakeEngine } from './fake.ts';

const VOCAB = 8;
const LOGITS = Float32Array.of(2, 1.5, 1, 0.5, 0, -0.5, -1, -6);

/** Tokens of a model that always expects the same: independent draws. */
async function draw(options: GenerateOptions, count = 4000): Promise<number[]> {
  const { engine, executor } = fakeEngine({ vocabSize: VOCAB });
  executor.logits = () => LOGITS.slice();
  return ids(
    (await generate(engine, null, [0], { temperature: 1, seed: 1, maxTokens: count, ...options })).tokens,
  );
}

function softmax(logits: ArrayLike<number>): number[] {
  const weights = Array.from(logits, (l) => Math.exp(l));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / total);
}

/** Pearson's statistic of draws against probabilities; ids of probability 0 must not occur. */
function chiSquare(draws: number[], probabilities: number[]): { statistic: number; freedom: number } {
  let statistic = 0;
  let freedom = -1;
  for (const [id, p] of probabilities.entries()) {
    const seen = draws.filter((d) => d === id).length;
    if (p === 0) expect(seen, `id ${id}`).toBe(0);
    if (p * draws.length < 1) continue; // too rare for the statistic
    statistic += (seen - p * draws.length) ** 2 / (p * draws.length);
    freedom++;
  }
  return { statistic, freedom };
}

/** Far beyond the 99.99th percentile for so many degrees of freedom; the draws are fixed by their seeds. */
const limit = (freedom: number) => freedom + 6 * Math.sqrt(2 * freedom);

function renormalized(keep: (id: number, p: number) => boolean, p = softmax(LOGITS)): number[] {
  const kept = p.map((value, id) => (keep(id, value) ? value : 0));
  const total = kept.reduce((a, b) => a + b, 0);
  return kept.map((value) => value / total);
}

describe('draws follow the distribution', () => {
  const p = softmax(LOGITS);
  test.each<[string, GenerateOptions, number[]]>([
    ['temperature 1', {}, p],
    ['temperature 0.5', { temperature: 0.5 }, softmax(LOGITS.map((l) => l / 0.5))],
    ['temperature 3', { temperature: 3 }, softmax(LOGITS.map((l) => l / 3))],
    ['top-k 3', { topK: 3 }, renormalized((id) => id < 3)],
    ['top-p 0.6', { topP: 0.6 }, renormalized((id) => p.slice(0, id).reduce((a, b) => a + b, 0) < 0.6)],
    ['min-p 0.3', { minP: 0.3 }, renormalized((_, value) => value >= 0.3 * p[0]!)],
    [
      'logit bias',
      { logitBias: { 0: -1, 5: 2 } },
      softmax(LOGITS.map((l, id) => l + (id === 0 ? -1 : id === 5 ? 2 : 0))),
    ],
    [
      'a ban',
      { logitBias: { 0: Number.NEGATIVE_INFINITY, 2: Number.NEGATIVE_INFINITY } },
      renormalized((id) => id !== 0 && id !== 2),
    ],
  ])('%s', async (_, options, expected) => {
    for (const seed of [1, 2, 2 ** 40 + 3]) {
      const { statistic, freedom } = chiSquare(await draw({ ...options, seed }), expected);
      expect(freedom).toBeGreaterThan(0);
      expect(statistic).toBeLessThan(limit(freedom));
    }
  });

  test('the statistic would notice', async () => {
    const { statistic, freedom } = chiSquare(await draw({}), softmax(LOGITS.map((l) => l * 1.2)));
    expect(statistic).toBeGreaterThan(limit(freedom));
  });
});

describe('seeds', () => {
  test('the same seed gives the same tokens, another one others', async () => {
    const a = await draw({ seed: 42 }, 100);
    expect(await draw({ seed: 42 }, 100)).toEqual(a);
    expect(await draw({ seed: 43 }, 100)).not.toEqual(a);
    expect(await draw({ seed: 42 + 2 ** 32 }, 100)).not.toEqual(a); // the upper bits count
  });

  test('a result says which seed was drawn, and it repeats the text', async () => {
    const { engine } = fakeEngine();
    const first = await generate(engine, null, [1], { temperature: 1, maxTokens: 30 });
    const again = await generate(engine, null, [1], { temperature: 1, maxTokens: 30, seed: first.seed });
    expect(ids(again.tokens)).toEqual(ids(first.tokens));
  });
});

describe('penalties', () => {
  test('repetition, frequency and presence look at the prompt as well', async () => {
    const first = async (options: GenerateOptions) => {
      const { engine, executor } = fakeEngine({ vocabSize: VOCAB });
      executor.logits = () => LOGITS.slice();
      return ids((await generate(engine, null, [0, 0, 1], { maxTokens: 3, ...options })).tokens);
    };
    expect(await first({})).toEqual([0, 0, 0]);
    expect(await first({ presencePenalty: 10 })).toEqual([2, 3, 4]);
    expect(await first({ repetitionPenalty: 100 })).toEqual([2, 3, 0]); // 2 and 1.5 over 100 are above 0
    expect(await first({ frequencyPenalty: 0.6 })).toEqual([2, 1, 0]);
  });

  test('only the last 64 ids count, over all prompts and generations of a session', async () => {
    const { engine, executor } = fakeEngine({ vocabSize: VOCAB });
    executor.logits = () => LOGITS.slice();
    await engine.openSession(1);
    await engine.append(1, [0, ...Array(40).fill(1)], 2);
    const penalized = { presencePenalty: 10, maxTokens: 1 };
    expect(ids((await generate(engine, 1, Array(22).fill(1), penalized)).tokens)).toEqual([2]); // 0 is 64 back
    expect(ids((await generate(engine, 1, [1], penalized)).tokens)).toEqual([0]); // 65
  });
});
