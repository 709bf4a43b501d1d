import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { parseTokenizer } from '../../src/tokenizer/index.ts';
import { generate, handle, ids, open, rejects, take } from './drive.ts';
import { type FakeExecutor, fakeEngine } from './fake.ts';

const file = readFileSync(new URL('../models/nano/tokenizer.json', import.meta.url), 'utf8');
const tokenizer = parseTokenizer({ name: 'nano', tokenizer: file }, 1024);
const EOS = 0;

/** With a clock that stands still, only the number of tokens ends a burst. */
const stopClock = () => vi.spyOn(performance, 'now').mockReturnValue(0);
afterEach(() => {
  vi.restoreAllMocks();
});

/** An engine whose model says `text`, whatever it is asked, and then eos. */
function saying(
  text: string,
  more: readonly number[] = [],
): { engine: Engine; executor: FakeExecutor; script: number[] } {
  const script = [...tokenizer.encode(text), ...more, EOS];
  const { engine, executor } = fakeEngine({ vocabSize: 1024, tokenizer, eos: [EOS] });
  executor.logits = (_, slot) => {
    const logits = new Float32Array(1024);
    logits[script[executor.consumed[slot]! - 1] ?? EOS] = 9;
    return logits;
  };
  return { engine, executor, script };
}

describe('ends', () => {
  test('eos: its text is not emitted, and it is pending', async () => {
    const { engine, script } = saying('A cat sat.');
    const s = await open(engine);
    const result = await generate(engine, s, [5]);
    expect(result).toMatchObject({ text: 'A cat sat.', finishReason: 'eos', stop: null, seed: 0 });
    expect(ids(result.tokens)).toEqual(script.slice(0, -1));
    expect(engine.position(s)).toBe(script.length);
    expect(result.usage).toMatchObject({ promptTokens: 1, completionTokens: script.length - 1 });
  });

  test('ignoreEos', async () => {
    const { engine } = saying('A cat');
    const result = await generate(engine, null, [5], { ignoreEos: true, maxTokens: 6 });
    expect(result.finishReason).toBe('length');
    expect(result.text).toMatch(/^A cat(<\|endoftext\|>)+$/);
  });

  test('length', async () => {
    const { engine, script } = saying('A cat sat on a mat.');
    const result = await generate(engine, null, [5], { maxTokens: 3 });
    expect(result.finishReason).toBe('length');
    expect(ids(result.tokens)).toEqual(script.slice(0, 3));
    expect(result.text).toBe(tokenizer.decode(script.slice(0, 3)));
  });

  test('stop token: not emitted', async () => {
    const { engine, script } = saying('A cat sat on a mat.');
    const result = await generate(engine, null, [5], { stopTokens: [script[3]!] });
    expect(result).toMatchObject({ finishReason: 'stop', stop: script[3] });
    expect(ids(result.tokens)).toEqual(script.slice(0, 3));
  });

  test('immediately', async () => {
    const { engine } = saying('');
    const s = await open(engine);
    const result = await generate(engine, s, [5]);
    expect(result).toMatchObject({ text: '', tokens: [], finishReason: 'eos' });
    expect(engine.position(s)).toBe(1);
  });
});

describe('stop strings', () => {
  const story = 'Once there was a 猫 who sat. The naïve 🦙🏽 went home. The end';

  test.each(['.', ' sat. T', 'there', '猫', '🏽 went', 'ïve', 'Once', 'end', 'nd'])('%j', async (stop) => {
    const { engine, executor, script } = saying(story);
    const s = await open(engine);
    const result = await generate(engine, s, [5], { stop });
    expect(result).toMatchObject({ finishReason: 'stop', stop });
    expect(result.text).toBe(story.slice(0, story.indexOf(stop)));
    // The session ends after the token that completed the stop string, and no later.
    const all = ids(result.tokens);
    expect(all).toEqual(script.slice(0, all.length));
    expect(tokenizer.decode(all)).toContain(stop);
    expect(tokenizer.decode(all.slice(0, -1))).not.toContain(stop);
    expect(engine.position(s)).toBe(all.length);
    expect(Math.max(...executor.consumed)).toBe(all.length); // the last one is pending
  });

  test('the one that is complete first', async () => {
    const { engine } = saying(story);
    expect(await generate(engine, null, [5], { stop: ['was a 猫 who', 'a', '猫'] })).toMatchObject({
      stop: 'a',
      text: 'Once there w',
    });
    const equal = saying(story);
    expect(await generate(equal.engine, null, [5], { stop: ['as', 'was'] })).toMatchObject({
      stop: 'was',
      text: 'Once there ',
    });
  });

  test('what might begin one is held back, and emitted when it does not', async () => {
    const { engine } = saying('a cat sat on the mat');
    const result = await generate(engine, null, [5], { stop: [' sat on the lap', 'mattress'] });
    expect(result).toMatchObject({ finishReason: 'eos', text: 'a cat sat on the mat' });
    const pieces = result.tokens.map((token) => token.text);
    expect(pieces.join('')).toBe('a cat sat on the '); // 'mat' comes with the end
    expect(pieces.filter((piece) => piece.includes('sat'))).toEqual([
      expect.stringMatching(/^ sat on the m?/),
    ]);
  });

  test('held-back text of a generation that is cut off by its length is emitted', async () => {
    const { engine, script } = saying('a cat sat on the mat');
    const result = await generate(engine, null, [5], { stop: 'cat sat on the lap', maxTokens: 4 });
    expect(result.text).toBe(tokenizer.decode(script.slice(0, 4)));
  });

  test('an incomplete character at the end is U+FFFD', async () => {
    const half = tokenizer.encode('🦙').slice(0, 2);
    const { engine } = saying('a ', [...half]);
    const result = await generate(engine, null, [5], { stop: 'zzz' });
    expect(result.text).toBe('a \uFFFD');
    expect(result.tokens.at(-1)!.text).toBe('');
  });
});

describe('bursts', () => {
  test('the first is one token; the last of a session says how it ended when its tokens were taken', async () => {
    const { engine } = saying('a cat sat on the mat');
    const s = await open(engine);
    const { bursts } = await generate(engine, s, [5]);
    expect(bursts[0]!.tokens).toHaveLength(1);
    expect(bursts.at(-1)).toMatchObject({ tokens: [], end: { finishReason: 'eos' } });
    for (const burst of bursts) expect(burst.tokens.length).toBeLessThanOrEqual(32);
    const alone = await generate(engine, null, [5]);
    expect(alone.bursts.at(-1)!.tokens.length).toBeGreaterThan(0);
  });

  test('tokens do not depend on how they are cut', async () => {
    const run = async (slow: boolean) => {
      const { engine, executor } = fakeEngine();
      if (slow) executor.before = () => new Promise((resolve) => setTimeout(resolve, 25));
      else stopClock();
      return generate(engine, null, [1, 2], { maxTokens: 10, temperature: 1, seed: 5 });
    };
    const slow = await run(true);
    const fast = await run(false);
    expect(slow.bursts.map((burst) => burst.tokens.length)).toEqual(Array(10).fill(1));
    expect(fast.bursts.map((burst) => burst.tokens.length)).toEqual([1, 9]);
    expect(ids(fast.tokens)).toEqual(ids(slow.tokens));
  });
});

/** What a session does next, which is all that can be known of its state. */
async function future(
  engine: Engine,
  session: number,
): Promise<{ position: number; next: number[]; sampled: number[] }> {
  const position = engine.position(session);
  const next = ids((await generate(engine, session, '', { maxTokens: 4, repetitionPenalty: 1.5 })).tokens);
  const sampled = ids(
    (await generate(engine, session, [3], { maxTokens: 4, temperature: 2, seed: 1, presencePenalty: 1 }))
      .tokens,
  );
  return { position, next, sampled };
}

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
    for (let i = 0; i < 20; i++) await take(engine, s, [1], 2);
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

describe('numbers that are none', () => {
  test('NaN logits are an error that says so', async () => {
    const { engine, executor } = fakeEngine();
    const s = await open(engine);
    const { logits } = executor;
    executor.logits = () => new Float32Array(50).fill(Number.NaN);
    await rejects(generate(engine, s, [1, 2]), 'INVALID_FILE', /NaN.*selfTest/);
    executor.logits = logits;
    expect(engine.position(s)).toBe(0);
    await generate(engine, s, [1], { maxTokens: 2 });
  });
});

describe('log-probabilities', () => {
  test('of the token and of the most probable ones, with their text', async () => {
    const { engine } = saying('a cat');
    const { tokens } = await generate(engine, null, [5], { logprobs: 3 });
    for (const token of tokens) {
      expect(token.logprob).toBeCloseTo(9 - Math.log(Math.exp(9) + 1023), 5);
      expect(token.top).toHaveLength(3);
      expect(token.top![0]).toMatchObject({ id: token.id, text: tokenizer.decode([token.id]) });
    }
    const plain = await generate(engine, null, [5], {});
    expect(plain.tokens[0]).toEqual({ id: tokens[0]!.id, text: tokens[0]!.text });
    const own = await generate(engine, null, [5], { logprobs: true });
    expect(own.tokens[0]!.top).toBeUndefined();
    expect(own.tokens[0]!.logprob).toBe(tokens[0]!.logprob);
  });
});
