import { describe, expect, test } from 'vitest';
import { EngineClient } from '../../src/api/client.ts';
import { Generation } from '../../src/api/generation.ts';
import type { GenerationOptions } from '../../src/api/types/index.ts';
import type { Token } from '../../src/engine/types.ts';
import type { EngineProtocol } from '../../workers/protocol.ts';
import { handle, open } from '../engine/drive.ts';
import { fakeEngine } from '../engine/fake.ts';
import { held } from '../helpers/heap.ts';

const BURST = 64;

/** An engine that gives `count` tokens with long lists of others, in bursts. */
function talkative(count: number): EngineClient {
  let given = 0;
  const engine: Partial<EngineProtocol> = {
    async startGeneration() {},
    async stopGeneration() {},
    abort() {},
    async nextBurst() {
      const tokens = Array.from({ length: Math.min(BURST, count - given) }, (_, i): Token => {
        const id = given + i;
        const top = Array.from({ length: 20 }, (_, k) => ({ id: k, text: `${k}`, logprob: -k - 0.5 }));
        return { id, text: `${id} `, logprob: -0.5, top };
      });
      given += tokens.length;
      const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: given, prefillMs: 1, decodeMs: 1 };
      const end = { text: '', finishReason: 'length', stop: null, seed: 7, usage } as const;
      return { tokens, end: given < count ? null : end };
    },
  };
  return EngineClient.inPlace(engine as EngineProtocol);
}

const generationOf = (count: number, options: GenerationOptions = {}) =>
  new Generation(talkative(count), null, '', options);

/** Bytes that are held more after 20,000 tokens than after 1,000. */
async function growth(generation: Generation): Promise<number> {
  let count = 0;
  let before = 0;
  for await (const _ of generation) {
    count += 1;
    if (count === 1000) before = await held();
    if (count === 20_000) return (await held()) - before;
  }
  throw new Error(`${count} tokens`);
}

describe('tokens of a loop', () => {
  test('take no memory once they are taken', async () => {
    expect(await growth(generationOf(21_000))).toBeLessThan(2 ** 20);
  });

  test('are kept for a result that was asked for: which takes megabytes, so this can be seen', async () => {
    expect(await growth(generationOf(21_000, { collect: true }))).toBeGreaterThan(8 * 2 ** 20);
    const generation = generationOf(21_000);
    const result = generation.result.bind(generation);
    const iterator = generation[Symbol.asyncIterator]();
    const whole = result();
    for (let i = 0; i < 21_000; i++) expect((await iterator.next()).done).toBe(false);
    expect((await iterator.next()).done).toBe(true);
    expect((await whole).tokens).toHaveLength(21_000);
  });

  test('asked for later, the result says how it ended; its tokens say why they are not there', async () => {
    const generation = generationOf(300);
    for await (const _ of generation);
    const result = await generation.result();
    expect(result).toMatchObject({ finishReason: 'length', seed: 7, usage: { completionTokens: 300 } });
    expect(JSON.parse(JSON.stringify(result))).toEqual({ ...result });
    for (const name of ['text', 'tokens'] as const)
      expect(() => result[name]).toThrowError(
        expect.objectContaining({
          code: 'INVALID_ARGUMENT',
          message: expect.stringContaining('collect: true'),
        }),
      );
  });

  test('asked for before the first token came, it is whole', async () => {
    const generation = generationOf(300);
    const iterator = generation[Symbol.asyncIterator]();
    const first = iterator.next();
    const result = generation.result();
    await first;
    for await (const _ of iterator);
    expect((await result).tokens.map(({ id }) => id)).toEqual(Array.from({ length: 300 }, (_, i) => i));
    expect((await generation.result()).text).toBe((await result).text);
  });
});

test('an engine holds as much after 10,000 tokens as after 1,000', async () => {
  const { engine, executor } = fakeEngine({ vocabSize: 50 });
  executor.before = () => {
    executor.steps.length = 0; // the fake's own record
  };
  const session = await open(engine);
  for (const which of [session, null]) {
    const generation = handle();
    await engine.startGeneration(generation, which, [1], { maxTokens: 30_000, logprobs: 5 });
    let count = 0;
    let before = 0;
    while (count < 10_000) {
      count += (await engine.nextBurst(generation)).tokens.length;
      if (count > 1000 && before === 0) before = await held();
    }
    expect((await held()) - before).toBeLessThan(2 ** 20);
    await engine.stopGeneration(generation, count);
  }
  await engine.dispose();
});
