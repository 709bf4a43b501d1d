import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Step } from '../../src/backends/types.ts';
import { generate, handle, ids, open, rejects } from '../engine/drive.ts';
import { variant } from '../wasm/host.ts';
import { counted } from './counted.ts';
import { loadFixtureEngine, snapshot } from './operations.ts';

const wasm = variant('simd', { threaded: false });

const tokens = (length: number, seed = 0) =>
  Array.from({ length }, (_, i) => (i * 7 + seed * 13 + i * i * seed) % 90);
const greedy = { maxTokens: 8, ignoreEos: true };

describe('spill', () => {
  test('the session idle longest waits in host memory, and comes back unnoticed', async () => {
    const engine = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 2, spill: 3 });
    const alone = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 5 });
    const pairs: [number, number][] = [];
    for (let i = 0; i < 5; i++) {
      const pair: [number, number] = [await open(engine), await open(alone)];
      pairs.push(pair);
      await engine.append(pair[0], tokens(20, i), handle());
      await alone.append(pair[1], tokens(20, i), handle());
    }
    expect(engine.stats()).toMatchObject({ sessions: 5, spilled: 3 });
    await rejects(engine.openSession(handle()), 'OUT_OF_MEMORY', /3 sessions wait in host memory/);
    for (const [mine, other] of [...pairs, ...pairs.reverse()]) {
      const found = await generate(engine, mine, '', greedy);
      expect(ids(found.tokens)).toEqual(ids((await generate(alone, other, '', greedy)).tokens));
      expect(engine.stats().spilled).toBe(3);
    }
    for (const [mine] of pairs.slice(0, 4)) await engine.closeSession(mine);
    const [last] = pairs[4]!;
    await engine.rewind(last, { position: 5 }, handle());
    expect(engine.stats()).toMatchObject({ sessions: 1, spilled: 0 });
    await Promise.all([engine.dispose(), alone.dispose()]);
  });

  test('sessions that are busy stay; others wait for them, in turn', async () => {
    const engine = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 1, spill: 3 });
    const [first, second] = [await open(engine), await open(engine)];
    await engine.startGeneration(1, second, [5], greedy); // which holds nothing yet
    await engine.append(first, [1, 2], handle());
    await engine.nextBurst(1);
    const ended: string[] = [];
    const waiting = [
      engine.append(first, [3], handle()).then(() => ended.push('append')),
      generate(engine, null, [1], greedy).then(() => ended.push('generate')),
      engine.saveSession(first, 'f32').catch(({ code }) => ended.push(code)),
    ];
    await waiting[2];
    expect(engine.stats()).toMatchObject({ waiting: 2, spilled: 1 });
    await engine.stopGeneration(1, 1);
    await Promise.all(waiting);
    expect(ended.sort()).toEqual(['BUSY', 'append', 'generate']);
    expect(engine.position(first)).toBe(2);
    await engine.dispose();
  });

  test('ten sessions generate at once in two slots: each as if it were alone', async () => {
    const engine = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 2, spill: 8 });
    const alone = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 1 });
    const sessions = await Promise.all(Array.from({ length: 10 }, () => open(engine)));
    const results = await Promise.all(
      sessions.map((session, i) => generate(engine, session, tokens(5 + i, i), greedy)),
    );
    for (const [i, result] of results.entries())
      expect(ids(result.tokens)).toEqual(ids((await generate(alone, null, tokens(5 + i, i), greedy)).tokens));
    await Promise.all([engine.dispose(), alone.dispose()]);
  });

  test('forks that all wait for each other: the last is refused, the others go on', async () => {
    const engine = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 2, spill: 4 });
    const sessions = [await open(engine), await open(engine)];
    const forks = sessions.map((session) => engine.forkSession(session, handle()));
    await rejects(forks[1]!, 'OUT_OF_MEMORY', /forks/);
    await forks[0];
    expect(engine.stats()).toMatchObject({ sessions: 3, spilled: 1, waiting: 0 });
    await engine.dispose();
  });

  describe('what nobody reads on', () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
    afterEach(() => void vi.useRealTimers());

    test('gives its slot away, waits in host memory, and goes on from there', async () => {
      const engine = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 1, spill: 1 });
      const expected = await generate(engine, null, [1, 2], { ...greedy, maxTokens: 5 });
      await engine.startGeneration(1, null, [1, 2], { ...greedy, maxTokens: 5 });
      const found = [...(await engine.nextBurst(1)).tokens];
      const other = generate(engine, null, [7], greedy);
      await vi.advanceTimersByTimeAsync(30_000);
      await other;
      expect(engine.stats().spilled).toBe(1);
      for (let end = false; !end; ) {
        const burst = await engine.nextBurst(1);
        found.push(...burst.tokens);
        end = burst.end !== null;
      }
      expect(ids(found)).toEqual(ids(expected.tokens));
      expect(engine.stats()).toMatchObject({ spilled: 0, waiting: 0 });
      await engine.dispose();
    });

    test('of a session keeps its slot: who waits is told', async () => {
      const engine = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 1, spill: 1 });
      const session = await open(engine);
      await engine.startGeneration(1, session, [1, 2], greedy);
      await engine.nextBurst(1);
      const other = rejects(generate(engine, null, [7], greedy), 'BUSY', /nobody reads on/);
      await vi.advanceTimersByTimeAsync(30_000);
      await other;
      await engine.stopGeneration(1, 1);
      await generate(engine, null, [7], greedy);
      await engine.dispose();
    });
  });

  test('many sessions at once, over and over', async () => {
    const engine = await loadFixtureEngine('mamba2-a', wasm, { maxSessions: 3, spill: 6 });
    const sessions = await Promise.all(Array.from({ length: 9 }, () => open(engine)));
    for (let round = 0; round < 5; round++)
      for (const three of [0, 3, 6])
        await Promise.all(
          sessions.slice(three, three + 3).map((s, i) => engine.append(s, [i, round], handle())),
        );
    const [expected] = [await snapshot(engine, sessions[0]!)];
    for (const three of [3, 6]) expect(await snapshot(engine, sessions[three]!)).toEqual(expected);
    await Promise.all(sessions.map((session) => engine.closeSession(session)));
    expect(engine.stats()).toMatchObject({ sessions: 0, spilled: 0 });
    await engine.dispose();
  });
});

test('a fork is one copy on the device: nothing is read, nothing runs', async () => {
  const { backend, count, clear } = counted();
  const engine = await loadFixtureEngine('mamba2-a', backend);
  const session = await open(engine);
  await engine.append(session, tokens(100), handle());
  clear();
  await engine.forkSession(session, handle());
  expect(count).toEqual({ rows: 0, steps: 0, reads: 0, writes: 0, copies: 1 });
  await engine.dispose();
});

test('forks of one prompt decode in one batch', async () => {
  const { backend, count, clear } = counted();
  const engine = await loadFixtureEngine('mamba2-a', backend, { maxSessions: 8 });
  const sessions = [await open(engine)];
  await engine.append(sessions[0]!, tokens(50), handle());
  for (let i = 1; i < 8; i++) {
    sessions.push(handle());
    await engine.forkSession(sessions[0]!, sessions[i]!);
  }
  clear();
  const options = { maxTokens: 40, ignoreEos: true, temperature: 1 };
  await Promise.all(sessions.map((session, seed) => generate(engine, session, '', { ...options, seed })));
  expect(count.rows).toBe(8 * 40);
  expect(count.steps).toBeLessThan(2 * 40); // 320 one by one
  await engine.dispose();
});

test('checkpoints of all sessions together stay within their budget', async () => {
  const { slotBytes } = (await loadFixtureEngine('mamba2-a', wasm)).info;
  const options = { checkpointBytes: 6 * slotBytes, checkpointEvery: 20, maxSessions: 4 };
  const engine = await loadFixtureEngine('mamba2-a', wasm, options);
  const sessions = await Promise.all([1, 2, 3, 4].map(() => open(engine)));
  for (let i = 0; i < 10; i++)
    for (const session of sessions) {
      await engine.append(session, tokens(60, i), handle());
      const { bytes, maxBytes } = engine.stats().checkpoints;
      expect(bytes).toBeLessThanOrEqual(maxBytes);
    }
  expect(engine.stats().checkpoints.count).toBeGreaterThanOrEqual(6);
  expect(engine.info.hostBytes).toBe(4 * 4 * (65_536 + 64) + 6 * slotBytes);
  await Promise.all(sessions.map((session) => engine.closeSession(session)));
  expect(engine.stats().checkpoints).toMatchObject({ count: 0, bytes: 0 });
  await engine.dispose();
});

test('checkpoints of what was taken back are not gone back to', async () => {
  const engine = await loadFixtureEngine('mamba2-a', wasm, { checkpointEvery: 1000, maxSessions: 2 });
  const [session, fresh] = [await open(engine), await open(engine)];
  const same = async (prompt: number[]) => {
    await engine.resetSession(fresh);
    await engine.append(fresh, prompt, handle());
    expect(await snapshot(engine, session)).toEqual(await snapshot(engine, fresh));
  };
  await engine.append(session, tokens(80), handle());
  await engine.append(session, [1], handle()); // a turn, and a checkpoint at 79
  expect(engine.stats().checkpoints.count).toBe(1);
  await engine.rewind(session, { position: 40 }, handle());
  expect(engine.stats().checkpoints.count).toBe(0);
  await engine.append(session, tokens(60, 3), handle());
  await engine.rewind(session, { position: 90 }, handle());
  const now = [...tokens(41), ...tokens(60, 3)];
  await same(now.slice(0, 91));
  await engine.append(session, [2], handle()); // a checkpoint at 90
  await engine.resetSession(session);
  expect(engine.stats().checkpoints.count).toBe(0);
  await engine.append(session, tokens(100, 5), handle());
  await engine.rewind(session, { position: 95 }, handle());
  await same(tokens(96, 5));
  await engine.dispose();
});

test('no next token waits longer than one chunk while others prefill', async () => {
  const steps: Step[] = [];
  const backend: typeof wasm = {
    ...wasm,
    async create(...args) {
      const executor = await wasm.create(...args);
      const { step } = executor;
      executor.step = (wanted) => {
        steps.push(wanted);
        return step.call(executor, wanted);
      };
      return executor;
    },
  };
  const engine = await loadFixtureEngine('mamba2-a', backend, { maxSessions: 6, chunk: 16 });
  const talkers = await Promise.all([1, 2, 3].map(() => open(engine)));
  const talking = talkers.map((session) =>
    generate(engine, session, [1], { maxTokens: 300, ignoreEos: true }),
  );
  const feeding = [1, 2, 3].map(async (seed) => {
    const session = await open(engine);
    await engine.append(session, tokens(3000, seed), handle());
  });
  await Promise.all([...talking, ...feeding]);
  const mixed = steps.filter(({ segments }) => new Set(segments.map(({ rows }) => rows > 1)).size === 2);
  expect(mixed.length).toBeGreaterThan(100); // they did run beside each other
  // Slots are handed out from the first on: the talkers have 0 to 2.
  for (const slot of [0, 1, 2]) {
    const at = steps.flatMap(({ segments }, i) =>
      segments.some((s) => s.slot === slot && s.rows === 1) ? [i] : [],
    );
    expect(at.length).toBeGreaterThan(290);
    const gaps = at.slice(1).map((step, i) => step - at[i]!);
    // One step of 16 rows may come between two bursts, when the state is set aside; within a burst none.
    expect(Math.max(...gaps)).toBeLessThanOrEqual(2);
  }
  await engine.dispose();
});
