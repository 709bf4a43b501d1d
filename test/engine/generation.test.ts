import { afterEach, describe, expect, test, vi } from 'vitest';
import { generate, ids, open, rejects } from './drive.ts';
import { fakeEngine } from './fake.ts';
import { saying, tokenizer } from './scripted.ts';

/** With a clock that stands still, only the number of tokens ends a burst. */
const stopClock = () => vi.spyOn(performance, 'now').mockReturnValue(0);
afterEach(() => {
  vi.restoreAllMocks();
});

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
    for (const burst of bursts) expect(burst.tokens.length).toBeLessThanOrEqual(64);
    const alone = await generate(engine, null, [5]);
    expect(alone.bursts.at(-1)!.tokens.length).toBeGreaterThan(0);
  });

  test('tokens do not depend on how they are cut', async () => {
    const run = async (slow: boolean) => {
      const { engine, executor } = fakeEngine();
      if (slow) executor.before = () => new Promise((resolve) => setTimeout(resolve, 45));
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
