import { describe, expect, test } from 'vitest';
import type { Token } from '../../src/engine/types.ts';
import { generate, handle, ids, open, rejects, take } from './drive.ts';
import { type FakeOptions, fakeEngine, toyLogits, toyState } from './fake.ts';

/** Greedy tokens by the toy's own truth. */
function oracle(consumed: readonly number[], count: number, vocabSize = 50): number[] {
  const all = [...consumed];
  for (let i = 0; i < count; i++) {
    const logits = toyLogits(toyState(all), vocabSize);
    all.push(logits.indexOf(logits.reduce((a, b) => Math.max(a, b))));
  }
  return all.slice(consumed.length);
}

describe('the last token is always pending', () => {
  test('append leaves its last token', async () => {
    const { engine, executor } = fakeEngine();
    const s = await open(engine);
    expect(await engine.append(s, [1, 2, 3], handle())).toBe(2);
    expect(engine.position(s)).toBe(2);
    expect(await engine.append(s, [], handle())).toBe(2);
    expect(await engine.append(s, [4], handle())).toBe(3);
    expect(executor.steps.flatMap((step) => [...step.ids])).toEqual([1, 2, 3]);
  });

  test('generate leaves the last sampled one, an empty prompt continues', async () => {
    const { engine } = fakeEngine();
    const s = await open(engine);
    const first = await generate(engine, s, [1, 2, 3], { maxTokens: 5 });
    expect(engine.position(s)).toBe(7); // 3 of the prompt, 4 of the 5
    const second = await generate(engine, s, '', { maxTokens: 5 });
    expect([...ids(first.tokens), ...ids(second.tokens)]).toEqual(oracle([1, 2, 3], 10));
    expect(engine.position(s)).toBe(12);
    const third = await generate(engine, s, [9, 9], { maxTokens: 3 });
    expect(ids(third.tokens)).toEqual(oracle([1, 2, 3, ...oracle([1, 2, 3], 10), 9, 9], 3));
  });

  test('a fresh session without a prompt starts from bos, else eos, else is refused', async () => {
    const start = async (options: FakeOptions) =>
      ids((await generate(fakeEngine(options).engine, null, '', { maxTokens: 4, ignoreEos: true })).tokens);
    expect(await start({ bos: 7, eos: [3] })).toEqual(oracle([7], 4));
    expect(await start({ bos: null, eos: [3] })).toEqual(oracle([3], 4));
    const { engine } = fakeEngine({ bos: null });
    await rejects(engine.startGeneration(1, null, '', {}), 'INVALID_ARGUMENT', /neither a bos nor an eos/);
    const s = await open(engine);
    await rejects(engine.startGeneration(2, s, '', {}), 'INVALID_ARGUMENT');
    await engine.append(s, [5], handle()); // only pending, but enough
    expect(ids((await generate(engine, s, '', { maxTokens: 3 })).tokens)).toEqual(oracle([5], 3));
  });

  test('prompts of any length around the chunk', async () => {
    for (const length of [1, 7, 8, 9, 16, 17, 50]) {
      const { engine } = fakeEngine();
      const prompt = Array.from({ length }, (_, i) => (i * 13) % 50);
      const { tokens, usage } = await generate(engine, null, prompt, { maxTokens: 3 });
      expect(ids(tokens)).toEqual(oracle(prompt, 3));
      expect(usage).toMatchObject({ promptTokens: length, completionTokens: 3 });
    }
  });

  test('reset forgets', async () => {
    const { engine } = fakeEngine();
    const s = await open(engine);
    await engine.append(s, [1, 2, 3], handle());
    await engine.resetSession(s);
    expect(engine.position(s)).toBe(0);
    expect(ids((await generate(engine, s, [4], { maxTokens: 3 })).tokens)).toEqual(oracle([4], 3));
  });
});

describe('one thing at a time', () => {
  test('BUSY', async () => {
    const { engine } = fakeEngine();
    const s = await open(engine);
    const generation = handle();
    await engine.startGeneration(generation, s, [1], {});
    await rejects(engine.startGeneration(handle(), s, [1], {}), 'BUSY', /busy with generate/);
    await rejects(engine.append(s, [1], handle()), 'BUSY');
    await rejects(engine.resetSession(s), 'BUSY');
    const burst = engine.nextBurst(generation);
    await rejects(engine.nextBurst(generation), 'BUSY');
    await burst;
    await engine.stopGeneration(generation, 1);
    const appending = engine.append(s, [1, 2, 3], handle());
    await rejects(engine.startGeneration(handle(), s, [1], {}), 'BUSY', /busy with append/);
    await appending;
    await generate(engine, s, '', { maxTokens: 2 });
  });

  test('a refused generation leaves nothing behind', async () => {
    const { engine } = fakeEngine({ maxSessions: 1 });
    const s = await open(engine);
    await rejects(engine.startGeneration(handle(), s, [1], { topP: 2 }), 'INVALID_ARGUMENT');
    await rejects(engine.startGeneration(handle(), s, [99], {}), 'INVALID_ARGUMENT', /0 to 49, found 99/);
    await rejects(engine.startGeneration(handle(), s, 'text', {}), 'NO_TOKENIZER');
    await rejects(engine.startGeneration(handle(), s, [1], { stop: 'x' }), 'NO_TOKENIZER', /stopTokens/);
    await engine.append(s, [1], handle());
  });

  test('slots run out by name, and come back', async () => {
    const { engine } = fakeEngine({ maxSessions: 2 });
    const a = await open(engine);
    const b = await open(engine);
    await rejects(engine.openSession(handle()), 'OUT_OF_MEMORY', /All 2 sessions.*maxSessions/);
    await rejects(generate(engine, null, [1]), 'OUT_OF_MEMORY', /open sessions.*closed/);
    await rejects(engine.score([1, 2], handle()), 'OUT_OF_MEMORY');
    await engine.closeSession(b);
    for (let i = 0; i < 5; i++) {
      await generate(engine, null, [1], { maxTokens: 2 });
      await take(engine, null, [1], 1);
      await engine.score([1, 2, 3], handle());
      await engine.logits([1, 2, 3], 1, handle());
    }
    await engine.closeSession(a);
    await rejects(engine.append(a, [1], handle()), 'CLOSED');
    await rejects(
      Promise.resolve().then(() => engine.position(a)),
      'CLOSED',
    );
  });

  test('handles are used once', async () => {
    const { engine } = fakeEngine();
    await engine.openSession(1);
    await rejects(engine.openSession(1), 'INVALID_ARGUMENT', /session 1 already/);
    await engine.startGeneration(2, null, [1], {});
    await rejects(engine.startGeneration(2, null, [1], {}), 'INVALID_ARGUMENT', /generation 2 already/);
    await rejects(engine.nextBurst(3), 'CLOSED', /never began/);
    await engine.stopGeneration(3, 0);
  });

  test('closing a session ends what it does', async () => {
    const { engine } = fakeEngine({ maxSessions: 1 });
    const s = await open(engine);
    const generation = handle();
    await engine.startGeneration(generation, s, [1], {});
    await engine.nextBurst(generation);
    const burst = engine.nextBurst(generation);
    await Promise.all([rejects(burst, 'CLOSED', /session was closed/), engine.closeSession(s)]);
    await rejects(engine.nextBurst(generation), 'CLOSED');
    const t = await open(engine); // its slot is free again
    const appending = engine.append(t, Array(100).fill(1), handle());
    await Promise.all([rejects(appending, 'CLOSED'), engine.closeSession(t)]);
    await open(engine);
  });
});

describe('maxContext', () => {
  test('CONTEXT_FULL before anything is consumed, and when it is reached', async () => {
    const { engine, executor } = fakeEngine({ maxContext: 20 });
    const s = await open(engine);
    await rejects(engine.append(s, Array(22).fill(1), handle()), 'CONTEXT_FULL', /20 tokens/);
    await engine.append(s, Array(18).fill(1), handle());
    expect(engine.position(s)).toBe(17);
    await rejects(generate(engine, s, [1, 1, 1]), 'CONTEXT_FULL');
    expect(engine.position(s)).toBe(17);
    const generation = handle();
    await engine.startGeneration(generation, s, '', { maxTokens: 100 });
    const tokens: Token[] = [];
    await rejects(
      (async () => {
        for (;;) tokens.push(...(await engine.nextBurst(generation)).tokens);
      })(),
      'CONTEXT_FULL',
    );
    expect(tokens).toHaveLength(3); // positions 18, 19 and 20
    expect(engine.position(s)).toBe(20);
    await engine.resetSession(s);
    await engine.append(s, [1, 2], handle());
    await rejects(engine.score(Array(30).fill(1), handle()), 'CONTEXT_FULL');
    expect(executor.steps.every((step) => step.ids.length <= 8)).toBe(true);
  });
});

describe('dispose', () => {
  test('everything pending rejects with CLOSED, later calls too', async () => {
    const { engine, executor } = fakeEngine();
    const s = await open(engine);
    const t = await open(engine);
    const generation = handle();
    await engine.startGeneration(generation, s, [1], {});
    await engine.nextBurst(generation);
    executor.before = () => new Promise((resolve) => setTimeout(resolve, 5));
    const pending = [
      rejects(engine.nextBurst(generation), 'CLOSED'),
      rejects(engine.append(t, Array(100).fill(2), handle()), 'CLOSED'),
      rejects(engine.score(Array(100).fill(2), handle()), 'CLOSED'),
    ];
    await new Promise((resolve) => setTimeout(resolve, 1));
    await engine.dispose();
    await Promise.all(pending);
    expect(executor.disposed).toBe(true);
    await engine.dispose();
    await rejects(engine.append(t, [1], handle()), 'CLOSED', /disposed/);
    await rejects(engine.openSession(handle()), 'CLOSED');
    await rejects(engine.startGeneration(handle(), null, [1], {}), 'CLOSED');
    await rejects(engine.nextBurst(generation), 'CLOSED');
    await rejects(engine.selfTest(), 'CLOSED');
    await rejects(engine.encode('x'), 'CLOSED', /disposed/);
  });
});

describe('a step that fails', () => {
  test('rejects, and the session is what it was before', async () => {
    const { engine, executor } = fakeEngine();
    const s = await open(engine);
    await engine.append(s, [1, 2, 3], handle());
    executor.before = () => {
      throw new Error('device on fire');
    };
    await expect(engine.append(s, Array(20).fill(4), handle())).rejects.toThrow('on fire');
    await expect(generate(engine, s, [4])).rejects.toThrow('on fire');
    executor.before = () => {};
    expect(engine.position(s)).toBe(2);
    const { tokens } = await generate(engine, s, '', { maxTokens: 4 });
    expect(ids(tokens)).toEqual(oracle([1, 2, 3], 4));
  });
});
