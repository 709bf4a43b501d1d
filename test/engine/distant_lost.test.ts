import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BYTES, distant, expectSame, idle, session, tokens } from './distant.ts';
import { handle, open } from './drive.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a device that was lost', () => {
  test('takes what was not read with it: the sessions come back by replay', async () => {
    const { engine } = distant();
    const s = await open(engine);
    await engine.append(s, tokens(4096), handle());
    await idle(engine);
    const kept = engine.stats().checkpoints.count;
    await engine.append(s, tokens(4096, 1), handle());
    expect(engine.stats().checkpoints.count).toBeGreaterThan(kept);
    const next = distant();
    await next.engine.adopt(engine);
    const replayed = next.executor.steps.reduce((rows, step) => rows + step.ids.length, 0);
    expect(replayed).toBeGreaterThan(4095);
    expect(replayed).toBeLessThan(8191 - 2048);
    await expectSame(next.engine, s, [...tokens(4096), ...tokens(4096, 1)]);
  });

  test('without a pause, a state is read before the ids that follow the last one are forgotten', async () => {
    const maxHistory = 5000;
    const { engine, executor } = distant({ maxHistory });
    const s = await open(engine);
    const all: number[] = [];
    for (let i = 0; i < 30; i++) {
      await engine.append(s, tokens(1000, i), handle(), { continues: true });
      all.push(...tokens(1000, i));
    }
    const reads = executor.reads;
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThanOrEqual((2 * 30_000) / (maxHistory - 1200)); // of two states
    const next = distant({ maxHistory });
    await next.engine.adopt(engine);
    await expectSame(next.engine, s, all);
  });

  test('nor again and again where others take the room for it', async () => {
    const { engine, executor } = distant({ maxHistory: 5000, checkpointBytes: 2 * BYTES });
    const sessions = [await open(engine), await open(engine), await open(engine)];
    for (let i = 0; i < 20; i++)
      await Promise.all(sessions.map((s) => engine.append(s, tokens(1000, i + s), handle())));
    expect(executor.reads).toBeLessThanOrEqual((2 * 3 * 20_000) / 2500);
  });

  test.each([100, 700, 1900, 4900])('nor where a long prompt follows %i tokens', async (begun) => {
    const { engine, executor } = distant({ maxHistory: 5000 });
    const s = await open(engine);
    await engine.append(s, tokens(begun), handle());
    const call = handle();
    executor.before = () => {
      const { past, position } = session(engine, s).history;
      const known = past!.checkpoints.nearest(position, (copy) => copy.image !== null)?.position ?? 0;
      expect(position - known).toBeLessThanOrEqual(5000);
    };
    await engine.append(s, tokens(12_000, 1), call);
  });
});
