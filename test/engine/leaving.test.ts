import { afterEach, describe, expect, test, vi } from 'vitest';
import { future, generate, handle, open, rejects, take } from './drive.ts';
import { fakeEngine } from './fake.ts';
import { saying } from './scripted.ts';

/** With a clock that stands still, only the number of tokens ends a burst. */
const stopClock = () => vi.spyOn(performance, 'now').mockReturnValue(0);
afterEach(() => {
  vi.restoreAllMocks();
});

describe('leaving early', () => {
  const options = { maxTokens: 40, temperature: 1.5, seed: 11, repetitionPenalty: 1.2 };

  test.each([0, 1, 2, 3, 7, 20, 33, 34, 39, 40])(
    'after %i tokens: as if it had stopped there',
    async (count) => {
      const left = fakeEngine();
      const s = await open(left.engine);
      await left.engine.append(s, [1, 2, 3, 4], handle());
      await take(left.engine, s, [5, 6], count, options);
      const exact = fakeEngine();
      const t = await open(exact.engine);
      await exact.engine.append(t, [1, 2, 3, 4], handle());
      if (count > 0) await generate(exact.engine, t, [5, 6], { ...options, maxTokens: count });
      expect(await future(left.engine, s)).toEqual(await future(exact.engine, t));
    },
  );

  test('within the tokens of a burst, before eos', async () => {
    stopClock();
    const { engine, script } = saying('a cat sat on the mat');
    const s = await open(engine);
    const generation = handle();
    await engine.startGeneration(generation, s, [5], {});
    await engine.nextBurst(generation);
    const { tokens } = await engine.nextBurst(generation); // up to eos
    expect(tokens).toHaveLength(script.length - 2);
    await engine.stopGeneration(generation, tokens.length + 1); // all tokens, but not the end
    expect(engine.position(s)).toBe(script.length - 1); // the last is pending, eos was never sampled
    expect((await generate(engine, s, '')).finishReason).toBe('eos');
  });

  test('two sessions at once: one has the shadow slot, the other is set aside elsewhere', async () => {
    stopClock();
    const { engine, executor } = fakeEngine();
    const [s, t] = [await open(engine), await open(engine)];
    const generations = [handle(), handle()];
    await engine.append(s, [1, 2], handle());
    await engine.append(t, [3, 4], handle());
    const both = async (run: (generation: number) => Promise<unknown>) => Promise.all(generations.map(run));
    await engine.startGeneration(generations[0]!, s, '', options);
    await engine.startGeneration(generations[1]!, t, '', options);
    await both((generation) => engine.nextBurst(generation));
    await both((generation) => engine.nextBurst(generation));
    await both((generation) => engine.stopGeneration(generation, 6));
    expect(executor.copies).toBeGreaterThan(0);
    expect(executor.reads).toBeGreaterThan(0);
    for (const [session, start] of [
      [s, [1, 2]],
      [t, [3, 4]],
    ] as const) {
      const exact = fakeEngine();
      const other = await open(exact.engine);
      await exact.engine.append(other, start, handle());
      await generate(exact.engine, other, '', { ...options, maxTokens: 6 });
      expect(await future(engine, session)).toEqual(await future(exact.engine, other));
    }
  });

  test('while a burst is under way', async () => {
    const { engine, executor } = fakeEngine();
    const s = await open(engine);
    const generation = handle();
    await engine.startGeneration(generation, s, [1, 2], options);
    await engine.nextBurst(generation);
    executor.before = () => new Promise((resolve) => setTimeout(resolve, 2));
    const burst = engine.nextBurst(generation);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const steps = executor.steps.length;
    await engine.stopGeneration(generation, 1);
    expect(executor.steps.length).toBeLessThanOrEqual(steps + 1); // at the next token
    await burst;
    executor.before = () => {};
    const exact = fakeEngine();
    const t = await open(exact.engine);
    await generate(exact.engine, t, [1, 2], { ...options, maxTokens: 1 });
    expect(await future(engine, s)).toEqual(await future(exact.engine, t));
  });

  test('counts that were never delivered are refused, and end it all the same', async () => {
    const { engine } = fakeEngine();
    const s = await open(engine);
    for (const delivered of [-1, 2, Number.NaN, 0.5]) {
      const generation = handle();
      await engine.startGeneration(generation, s, [1], {});
      await engine.nextBurst(generation);
      await rejects(engine.stopGeneration(generation, delivered), 'INVALID_ARGUMENT', /delivered/);
      await engine.append(s, [1], handle());
    }
  });

  test('a session that stops takes no slot with it', async () => {
    const { engine, executor } = fakeEngine({ maxSessions: 1 });
    for (let i = 0; i < 20; i++) await take(engine, null, [1], 1 + (i % 5));
    const s = await open(engine);
    for (let i = 0; i < 20; i++) await take(engine, s, [1], 2, { maxTokens: 8 }); // short of a checkpoint
    expect(executor.reads).toBe(0); // the shadow slot was always free again
  });
});

describe('aborts', () => {
  const long = Array.from({ length: 200 }, (_, i) => i % 50);

  test('append: rejects within a step, and leaves the session as it was', async () => {
    for (const start of [[], [1, 2, 3]]) {
      const { engine, executor } = fakeEngine();
      const s = await open(engine);
      await engine.append(s, start, handle());
      const call = handle();
      executor.before = () => {
        if (executor.steps.length === 5) engine.abort(call);
      };
      await rejects(engine.append(s, long, call), 'ABORTED');
      expect(executor.steps.length).toBeLessThanOrEqual(6 + 1);
      executor.before = () => {};
      const exact = fakeEngine();
      const t = await open(exact.engine);
      await exact.engine.append(t, start, handle());
      expect(await future(engine, s)).toEqual(await future(exact.engine, t));
    }
  });

  test('logits and score', async () => {
    const { engine } = fakeEngine({ maxSessions: 1 });
    for (const run of [
      (call: number) => engine.score(long, call),
      (call: number) => engine.logits(long, 200, call),
    ]) {
      const call = handle();
      const running = run(call);
      engine.abort(call);
      await rejects(running, 'ABORTED');
    }
    await engine.score(long, handle());
  });

  test('a generation in its prompt: the session is as it was', async () => {
    const { engine, executor } = fakeEngine();
    const s = await open(engine);
    await engine.append(s, [1, 2, 3], handle());
    const generation = handle();
    await engine.startGeneration(generation, s, long, {});
    executor.before = () => {
      if (executor.steps.length === 5) engine.abort(generation);
    };
    const burst = await engine.nextBurst(generation);
    expect(burst).toMatchObject({ tokens: [], end: { finishReason: 'aborted', text: '' } });
    expect(engine.position(s)).toBe(2);
    executor.before = () => {};
    const exact = fakeEngine();
    const t = await open(exact.engine);
    await exact.engine.append(t, [1, 2, 3], handle());
    expect(await future(engine, s)).toEqual(await future(exact.engine, t));
  });

  test('a generation among its tokens ends with what there is', async () => {
    stopClock();
    const { engine, executor } = fakeEngine();
    const s = await open(engine);
    const generation = handle();
    await engine.startGeneration(generation, s, [1], { maxTokens: 1000 });
    await engine.nextBurst(generation);
    executor.before = () => {
      if (executor.steps.length === 4) engine.abort(generation);
    };
    const burst = await engine.nextBurst(generation);
    expect(burst.end).toBeNull();
    expect(burst.tokens).toHaveLength(4);
    expect((await engine.nextBurst(generation)).end).toMatchObject({
      finishReason: 'aborted',
      usage: { completionTokens: 5 },
    });
    await generate(engine, s, '', { maxTokens: 2 });
  });

  test('before it began, and of nothing at all', async () => {
    const { engine, executor } = fakeEngine();
    const generation = handle();
    await engine.startGeneration(generation, null, [1], {});
    engine.abort(generation);
    expect((await engine.nextBurst(generation)).end).toMatchObject({ finishReason: 'aborted' });
    expect(executor.steps).toHaveLength(0);
    engine.abort(4711);
  });
});
