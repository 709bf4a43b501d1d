import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { EdgeError } from '../../src/errors.ts';
import { generate, handle, ids, open, rejects, take } from './drive.ts';
import { fakeEngine } from './fake.ts';

const options = { maxTokens: 6 };

describe('more calls than slots', () => {
  test('wait in turn, and each gives what it gives alone', async () => {
    const { engine } = fakeEngine({ maxSessions: 2 });
    const order: number[] = [];
    const started = Array.from({ length: 8 }, async (_, i) => {
      const { tokens } = await generate(engine, null, [i + 1], options);
      order.push(i);
      return ids(tokens);
    });
    expect(engine.stats().waiting).toBe(0); // nothing has begun yet
    const results = await Promise.all(started);
    for (const [i, result] of results.entries()) {
      const alone = fakeEngine();
      expect(result).toEqual(ids((await generate(alone.engine, null, [i + 1], options)).tokens));
    }
    const pairs = [0, 2, 4, 6].map((at) => order.slice(at, at + 2).sort());
    expect(pairs.flat()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(engine.stats().waiting).toBe(0);
  });

  test('score, logits, sessions and forks wait, too', async () => {
    const { engine } = fakeEngine({ maxSessions: 2 });
    const session = await open(engine);
    await engine.append(session, [1, 2], handle());
    const generation = handle();
    await engine.startGeneration(generation, null, [1], options);
    await engine.nextBurst(generation);
    const fork = handle();
    const waiting = [
      engine.score([1, 2, 3], handle()),
      engine.logits([1, 2, 3], 1, handle()),
      engine.forkSession(session, fork),
    ];
    await new Promise((resolve) => setTimeout(resolve));
    expect(engine.stats().waiting).toBe(3);
    await engine.stopGeneration(generation, 1);
    await Promise.all(waiting);
    expect(engine.position(fork)).toBe(1);
  });

  test('beyond maxQueue: BUSY, which says what to do; those that wait are served', async () => {
    const { engine } = fakeEngine({ maxSessions: 1, maxQueue: 2 });
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, (_, i) => generate(engine, null, [i], options)),
    );
    expect(results.map(({ status }) => status)).toEqual([
      ...Array(3).fill('fulfilled'),
      'rejected',
      'rejected',
    ]);
    const [refused] = results.slice(3) as PromiseRejectedResult[];
    expect(refused!.reason).toBeInstanceOf(EdgeError);
    expect(refused!.reason).toMatchObject({
      code: 'BUSY',
      message: expect.stringMatching(/2 calls wait for one of 1 slots.*return\(\).*maxSessions or maxQueue/),
    });
  });

  test('a generation that was only begun, not asked, holds no slot', async () => {
    const { engine } = fakeEngine({ maxSessions: 1 });
    for (let i = 0; i < 3; i++) await engine.startGeneration(handle(), null, [1], options);
    await generate(engine, null, [1], options);
  });
});

describe('waiting ends', () => {
  /** One slot, which a generation has. */
  async function full() {
    const { engine } = fakeEngine({ maxSessions: 1 });
    const generation = handle();
    await engine.startGeneration(generation, null, [1], { maxTokens: 100 });
    await engine.nextBurst(generation);
    return { engine, generation };
  }
  const begun = async (engine: Awaited<ReturnType<typeof full>>['engine']) => {
    const waiter = handle();
    await engine.startGeneration(waiter, null, [2], options);
    return { waiter, burst: engine.nextBurst(waiter) };
  };

  test('with an abort, of whatever waits; those behind it move up', async () => {
    const { engine, generation } = await full();
    const session = handle();
    const { waiter, burst } = await begun(engine);
    const call = handle();
    const scoring = rejects(engine.score([1, 2], call), 'ABORTED');
    const last = generate(engine, null, [3], options);
    await Promise.resolve();
    const opening = rejects(engine.openSession(session), 'ABORTED');
    for (const which of [waiter, session, call]) engine.abort(which);
    expect((await burst).end).toMatchObject({ finishReason: 'aborted' });
    await Promise.all([opening, scoring]);
    expect(engine.stats().waiting).toBe(1);
    await engine.stopGeneration(generation, 1);
    expect((await last).tokens).toHaveLength(6);
  });

  test('with stop, for a generation', async () => {
    const { engine, generation } = await full();
    const { waiter, burst } = await begun(engine);
    await engine.stopGeneration(waiter, 0);
    expect((await burst).tokens).toEqual([]);
    expect(engine.stats().waiting).toBe(0);
    await engine.stopGeneration(generation, 1);
    await take(engine, null, [1], 2);
  });

  test('with the engine: CLOSED', async () => {
    const { engine } = await full();
    const { burst } = await begun(engine);
    const waiting = [burst, engine.score([1, 2], handle()), engine.openSession(handle())];
    const closed = waiting.map((call) => rejects(call, 'CLOSED'));
    await engine.dispose();
    await Promise.all(closed);
  });

  test('with OUT_OF_MEMORY once all slots are held by sessions: those are not given back by themselves', async () => {
    const { engine, generation } = await full();
    const session = handle();
    const opening = engine.openSession(session);
    await rejects(engine.openSession(handle()), 'OUT_OF_MEMORY', /until they are closed/); // the one before has it then
    await rejects(engine.score([1, 2], handle()), 'OUT_OF_MEMORY');
    await engine.stopGeneration(generation, 1);
    await opening;
    await rejects(generate(engine, null, [1]), 'OUT_OF_MEMORY');
    await engine.closeSession(session);
    await generate(engine, null, [1], options);
  });

  test('who waits before a session gets its slot is told when that is so', async () => {
    const { engine } = fakeEngine({ maxSessions: 2 });
    const generations = [handle(), handle()];
    for (const generation of generations) {
      await engine.startGeneration(generation, null, [1], { maxTokens: 100 });
      await engine.nextBurst(generation);
    }
    const opened = [handle(), handle()];
    const opening = [engine.openSession(opened[0]!), engine.openSession(opened[1]!)];
    for (const generation of generations) await engine.stopGeneration(generation, 1);
    await Promise.all(opening);
    await rejects(engine.openSession(handle()), 'OUT_OF_MEMORY');
  });
});

describe('a generation that nobody reads on', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  test('is ended where others wait for its slot, after half a minute at most; one that is read stays', async () => {
    const { engine } = fakeEngine({ maxSessions: 2 });
    const [left, read] = [handle(), handle()];
    for (const generation of [left, read]) {
      await engine.startGeneration(generation, null, [1], { maxTokens: 10_000 });
      await engine.nextBurst(generation);
    }
    const waiting = generate(engine, null, [2], options);
    await vi.advanceTimersByTimeAsync(16_000);
    expect(engine.stats().waiting).toBe(1);
    await engine.nextBurst(read);
    await vi.advanceTimersByTimeAsync(16_000);
    expect((await waiting).tokens).toHaveLength(6);
    await rejects(engine.nextBurst(left), 'CLOSED', /others waited for its slot.*maxSessions/);
    await rejects(engine.nextBurst(left), 'CLOSED', /has ended/);
    expect((await engine.nextBurst(read)).tokens.length).toBeGreaterThan(0);
  });

  test('stays as long as nobody waits', async () => {
    const { engine } = fakeEngine({ maxSessions: 1 });
    const generation = handle();
    await engine.startGeneration(generation, null, [1], { maxTokens: 10_000 });
    await engine.nextBurst(generation);
    await vi.advanceTimersByTimeAsync(100_000);
    expect((await engine.nextBurst(generation)).tokens.length).toBeGreaterThan(0);
  });
});
