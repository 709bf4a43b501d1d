import { describe, expect, test, vi } from 'vitest';
import type { GenerateOptions } from '../../src/engine/types.ts';
import { future, generate, handle, ids, open, take } from './drive.ts';
import { AheadExecutor, FakeExecutor, fakeEngine } from './fake.ts';

const PROMPT = [5, 6];
const DRAWN: GenerateOptions = { temperature: 1.5, seed: 11 };

/** What a session gives and is afterwards, on a device that goes ahead by itself or not. */
async function run(Executor: typeof FakeExecutor, options: GenerateOptions, left?: number, eos?: number[]) {
  const { engine, executor } = fakeEngine({ Executor, maxContext: 400, ...(eos && { eos }) });
  const session = await open(engine);
  await engine.append(session, [1, 2, 3, 4], handle());
  const given =
    left === undefined
      ? await generate(engine, session, PROMPT, options)
      : { tokens: await take(engine, session, PROMPT, left, options), finishReason: 'left', text: '' };
  const seen = { ids: ids(given.tokens), reason: given.finishReason, after: await future(engine, session) };
  return { seen, counts: executor instanceof AheadExecutor ? executor.counts : [] };
}

describe('a device that goes ahead gives the same tokens, and leaves the same state', () => {
  const cases: [string, GenerateOptions, (number | undefined)?, number[]?][] = [
    ['to the length', { ...DRAWN, maxTokens: 75 }],
    ['greedy, with penalties', { maxTokens: 90, repetitionPenalty: 1.4, frequencyPenalty: 0.2 }],
    ['to a stop token within a burst', { ...DRAWN, maxTokens: 300, stopTokens: [7] }],
    ['to eos', { ...DRAWN, maxTokens: 300 }, undefined, [13]],
    ['nearly to the end of the context', { ...DRAWN, maxTokens: 380 }],
    ...[1, 2, 9, 33, 40].map((left): [string, GenerateOptions, number] => [
      `left after ${left}`,
      { ...DRAWN, maxTokens: 60 },
      left,
    ]),
  ];
  test.for(cases)('%s', async ([, options, left, eos]) => {
    const one = await run(FakeExecutor, options, left, eos);
    const ahead = await run(AheadExecutor, options, left, eos);
    expect(ahead.seen).toEqual(one.seen);
    expect(ahead.counts.some((count) => count > 1)).toBe(true);
  });

  test('one alone has until the next turn of the event loop', async () => {
    const { engine, executor } = fakeEngine({ Executor: AheadExecutor });
    const session = await open(engine);
    const clock = vi.spyOn(performance, 'now').mockReturnValue(5000);
    await generate(engine, session, [1], { ...DRAWN, maxTokens: 200 });
    clock.mockRestore();
    const { untils } = executor as AheadExecutor;
    expect(untils.length).toBeGreaterThan(1);
    expect(Math.min(...untils)).toBeGreaterThan(5000);
    expect(Math.max(...untils)).toBeLessThan(5100);
  });

  test('two sessions go ahead together, and not while a third has a prompt to read', async () => {
    const { engine, executor } = fakeEngine({ Executor: AheadExecutor });
    const sessions = [await open(engine), await open(engine), await open(engine)];
    const [a, b] = await Promise.all(
      sessions.slice(0, 2).map((s, i) => generate(engine, s, [i + 1], { ...DRAWN, maxTokens: 40 })),
    );
    const counts = (executor as AheadExecutor).counts;
    expect(Math.max(...counts)).toBeGreaterThan(1);
    expect(new Set((executor as AheadExecutor).untils)).toEqual(new Set([0])); // one that blocks goes one step at a time
    const alone = fakeEngine();
    for (const [i, found] of [a!, b!].entries()) {
      const s = await open(alone.engine);
      expect(ids(found.tokens)).toEqual(
        ids((await generate(alone.engine, s, [i + 1], { ...DRAWN, maxTokens: 40 })).tokens),
      );
    }
    const long = engine.append(
      sessions[2]!,
      Array.from({ length: 400 }, (_, i) => i % 50),
      handle(),
    );
    const before = counts.length;
    await generate(engine, sessions[0]!, [3], { maxTokens: 10 });
    expect(counts.slice(before).every((count) => count === 1) || counts.length === before).toBe(true);
    await long;
  });
});
