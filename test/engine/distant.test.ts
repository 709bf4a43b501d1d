import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  distant,
  expectSame,
  FACTS,
  freeShadows,
  IDLE_MS,
  idle,
  near,
  STATES,
  tokens,
  turn,
  unread,
} from './distant.ts';
import { generate, handle, ids, open, rejects, take } from './drive.ts';
import { FakeExecutor, fakeEngine } from './fake.ts';

// To read a state back from a GPU costs more than the prefill of hundreds of tokens. So nothing that somebody waits for
// does it: checkpoints stay on the device, and are read when nobody wants anything.

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('nothing that somebody waits for reads a state back', () => {
  test('an append of 4,096 tokens: its steps are whole, checkpoints come once there is time', async () => {
    const { engine, executor } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(37), handle());
    executor.steps.length = 0;
    await engine.append(s, tokens(4096), handle());
    expect(executor.reads).toBe(0);
    expect(executor.steps.map((step) => step.ids.length)).toEqual(Array(64).fill(64));
    expect(executor.copies).toBeLessThanOrEqual(1 + 3); // to come back to, and checkpoints
    const { count } = engine.stats().checkpoints;
    expect(count).toBeGreaterThanOrEqual(2);
    expect(freeShadows(engine)).toBe(4 - count);
    await idle(engine);
    expect(executor.reads).toBe(2 * count); // two states each
    expect([engine.stats().checkpoints.count, freeShadows(engine)]).toEqual([count, 4]);
    executor.steps.length = 0;
    await engine.rewind(s, { position: 4000 }, handle());
    expect(executor.steps.reduce((rows, step) => rows + step.ids.length, 0)).toBeLessThanOrEqual(4096 / 2);
    await expectSame(engine, s, [...tokens(37), ...tokens(4096)].slice(0, 4001));
  });

  test('one append after the other, and tokens of generations', async () => {
    const { engine, executor } = distant();
    const s = await open(engine);
    let all: number[] = [];
    for (let i = 0; i < 30; i++) {
      await engine.append(s, tokens(200, i), handle());
      const { tokens: found } = await generate(engine, s, tokens(70, i), {
        maxTokens: 80,
        temperature: 1,
        seed: i,
      });
      all = [...all, ...tokens(200, i), ...tokens(70, i), ...ids(found)];
      const { count, bytes, maxBytes } = engine.stats().checkpoints;
      expect(bytes).toBeLessThanOrEqual(maxBytes);
      expect(count).toBeLessThanOrEqual(4);
    }
    expect(executor.reads).toBe(0);
    await idle(engine);
    expect(executor.reads).toBeGreaterThan(0);
    await expectSame(engine, s, all);
  });

  test('a prompt with the prefix cache, whose prefixes are there at once', async () => {
    const { engine, executor } = distant({ cacheBytes: 2 ** 20 });
    const rows = () => executor.steps.splice(0).reduce((sum, step) => sum + step.ids.length, 0);
    const ask = async (prompt: number[]) => {
      rows();
      const found = await generate(engine, null, prompt, { maxTokens: 1 });
      expect(ids(found.tokens)).toEqual(ids((await generate(near(), null, prompt, { maxTokens: 1 })).tokens));
      return rows();
    };
    expect(await ask([...tokens(600), ...tokens(100, 1)])).toBe(700);
    expect(await ask([...tokens(600), ...tokens(100, 1)])).toBe(1);
    expect(await ask([...tokens(600), ...tokens(100, 2)])).toBe(700);
    expect(await ask([...tokens(600), ...tokens(100, 3)])).toBe(100);
    for (let i = 4; i < 10; i++) await ask([...tokens(600), ...tokens(100, i)]); // more than there are shadows
    expect(executor.reads).toBe(0);
    await idle(engine);
    expect(executor.reads).toBeGreaterThan(0);
    expect(freeShadows(engine)).toBe(4);
    expect(await ask([...tokens(600), ...tokens(100, 9)])).toBe(1);
  });

  test('ways back take the place of checkpoints that were not read', async () => {
    const { engine, executor } = distant();
    const sessions = [await open(engine), await open(engine), await open(engine)];
    for (const s of sessions) await engine.append(s, tokens(2000, s), handle());
    expect(freeShadows(engine)).toBe(0);
    const generating = sessions.map((s) => generate(engine, s, [1], { maxTokens: 100 }));
    const found = await Promise.all(generating);
    expect(executor.reads).toBe(0);
    for (const [i, s] of sessions.entries())
      await expectSame(engine, s, [...tokens(2000, s), 1, ...ids(found[i]!.tokens)]);
  });
});

describe('while checkpoints wait on the device', () => {
  test.each([1, 700, 1500, 1536, 1537, 2500, 4094])('a rewind to %i goes on from one', async (position) => {
    const { engine, executor } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(4096), handle());
    const before = unread(engine);
    expect(before).toBeGreaterThan(0);
    await engine.rewind(s, { position }, handle());
    expect(executor.reads).toBe(0);
    await expectSame(engine, s, tokens(4096).slice(0, position + 1));
  });

  test('a rewind behind them frees them', async () => {
    const { engine } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(4096), handle());
    await engine.rewind(s, { position: 10 }, handle());
    expect([unread(engine), engine.stats().checkpoints.count, freeShadows(engine)]).toEqual([0, 0, 4]);
  });

  test('an append that is stopped leaves none of its own', async () => {
    const { engine, executor } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(100), handle());
    const call = handle();
    executor.before = () => {
      if (executor.steps.length === 40) engine.abort(call);
    };
    await rejects(engine.append(s, tokens(4096), call), 'ABORTED');
    expect([executor.reads, engine.stats().checkpoints.count]).toEqual([0, 1]); // of the turn's beginning
    await expectSame(engine, s, tokens(100));
    await idle(engine);
    expect(freeShadows(engine)).toBe(4);
  });

  test('a generation that is left goes back, and the shadows come back', async () => {
    const { engine, executor } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(1500), handle());
    const taken = await take(engine, s, [5], 7, { maxTokens: 60 });
    expect(executor.reads).toBe(0);
    await expectSame(engine, s, [...tokens(1500), 5, ...ids(taken)]);
    await idle(engine);
    expect(freeShadows(engine)).toBe(4);
  });

  test('a fork has them, too, after its origin was closed', async () => {
    const { engine, executor } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(3000), handle());
    const fork = handle();
    await engine.forkSession(s, fork);
    await engine.closeSession(s);
    expect(executor.reads).toBe(0);
    await engine.rewind(fork, { position: 2000 }, handle());
    await expectSame(engine, fork, tokens(2001));
    await engine.closeSession(fork);
    expect([unread(engine), freeShadows(engine), engine.stats().checkpoints.bytes]).toEqual([0, 4, 0]);
  });

  test('the session is saved, restored, and moved to host memory', async () => {
    const { engine } = distant({ spill: 2 }, 1);
    const s = await open(engine);
    await engine.append(s, tokens(2000), handle());
    const saved = await engine.saveSession(s, 'f32');
    const again = handle();
    await engine.restoreSession(again, saved, {}); // which moves the first one to host memory
    expect(engine.stats().spilled).toBe(1);
    await engine.rewind(s, { position: 1600 }, handle());
    await expectSame(engine, s, tokens(1601));
    await expectSame(engine, again, tokens(2000));
  });

  test('the session is closed, or the engine disposed', async () => {
    const { engine, executor } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(4096), handle());
    await engine.closeSession(s);
    expect([unread(engine), freeShadows(engine)]).toEqual([0, 4]);
    await engine.append(await open(engine), tokens(4096), handle());
    await engine.dispose();
    await vi.advanceTimersByTimeAsync(10 * IDLE_MS);
    for (let i = 0; i < 20; i++) await turn();
    expect(executor.reads).toBe(0);
  });

  test('whoever asks for something while they are read waits for one part of one', async () => {
    const { engine, executor } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(4096), handle());
    const events: string[] = [];
    let asked: Promise<unknown> | null = null;
    executor.before = () => void events.push('step');
    executor.beforeRead = (_, names) => {
      events.push(`read ${names}`);
      asked ??= new Promise((resolve) => setImmediate(resolve)).then(() =>
        engine.append(s, tokens(64), handle()),
      );
    };
    await idle(engine);
    await asked;
    expect(events.indexOf('step')).toBeLessThanOrEqual(2);
    expect(events.filter((event) => event !== 'step').every((event) => /^read (h|other)$/.test(event))).toBe(
      true,
    );
    await idle(engine);
    await expectSame(engine, s, [...tokens(4096), ...tokens(64)]);
  });

  test('they are dropped while they are read', async () => {
    const { engine, executor } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(4096), handle());
    let closing: Promise<void> | null = null;
    executor.beforeRead = () => {
      closing ??= engine.closeSession(s);
    };
    await idle(engine);
    await closing;
    expect([freeShadows(engine), engine.stats().checkpoints.count]).toEqual([4, 0]);
  });
});

test('where the host reads at once, checkpoints come on the way', async () => {
  const { engine, executor } = fakeEngine({ chunk: 64, states: STATES, facts: FACTS });
  expect(executor).toBeInstanceOf(FakeExecutor);
  const s = await open(engine);
  await engine.append(s, tokens(4096), handle());
  expect(engine.stats().checkpoints.count).toBe(7); // 8 of 512 tokens, the last of which is pending
  expect(executor.reads).toBe(7);
});
