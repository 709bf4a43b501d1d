import { beforeAll, describe, expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { greedy, loadNano, NANO, PROMPT } from './models.ts';

let expected: number[];
beforeAll(async () => {
  const model = await load(NANO, { threads: 1 });
  expected = await greedy(model, 64);
  await model.dispose();
});

const OPTIONS = { ignoreEos: true };

describe('a generation', () => {
  test('streams what result() gives', async () => {
    const model = await loadNano();
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 64, collect: true });
    const ids: number[] = [];
    let text = '';
    for await (const token of generation) {
      ids.push(token.id);
      text += token.text;
    }
    const result = await generation.result();
    expect(ids).toEqual(expected);
    expect(result.tokens.map(({ id }) => id)).toEqual(expected);
    expect(result).toMatchObject({ text, finishReason: 'length', stop: null });
    expect(result.usage).toMatchObject({ completionTokens: 64 });
    expect(text).toBe(await model.tokenizer.decode(ids));
  });

  test('result() beside a loop waits for its end', async () => {
    const model = await loadNano();
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 20 });
    const loop = (async () => {
      let count = 0;
      for await (const _ of generation) count++;
      return count;
    })();
    const [{ tokens }, count] = await Promise.all([generation.result(), loop]);
    expect([tokens.length, count]).toEqual([20, 20]);
    expect((await generation.result()).tokens.length).toBe(20);
  });

  test('result() may be asked for before the loop: the loop gets every token', async () => {
    const model = await loadNano();
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 20 });
    const result = generation.result();
    const ids: number[] = [];
    for await (const { id } of generation) ids.push(id);
    expect(ids).toEqual(expected.slice(0, 20));
    expect((await result).tokens.map(({ id }) => id)).toEqual(ids);
    expect(() => generation[Symbol.asyncIterator]()).toThrow(/iterated once/);

    const whole = model.generate(PROMPT, { ...OPTIONS, maxTokens: 2 });
    await whole;
    expect(() => whole[Symbol.asyncIterator]()).toThrow(/after result\(\)/);
  });

  test('the loop after result() ends it when it is left, and tells what fails', async () => {
    const model = await loadNano({ maxSessions: 1 });
    const session = await model.session();
    const generation = session.generate(PROMPT, { ...OPTIONS, maxTokens: 20 });
    const result = generation.result();
    let count = 0;
    for await (const _ of generation) if (++count === 3) break;
    await expect(result).rejects.toMatchObject({ code: 'ABORTED' });
    expect(session.position).toBe((await model.tokenizer.encode(PROMPT)).length + 2);

    const wrong = session.generate('', { topK: -1 });
    void wrong.result(); // nobody awaits it
    const loop = async () => {
      for await (const _ of wrong);
    };
    await expect(loop()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('can be iterated once', async () => {
    const model = await loadNano();
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 2 });
    for await (const _ of generation);
    expect(() => generation[Symbol.asyncIterator]()).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  test('runs nothing unless it is asked', async () => {
    const model = await loadNano({ maxSessions: 1 });
    for (let i = 0; i < 5; i++) model.generate(PROMPT, OPTIONS);
    expect(await greedy(model, 64)).toEqual(expected);
  });

  test('text held back for a stop string comes at the end', async () => {
    const model = await loadNano();
    const { text: whole } = await model.generate(PROMPT, { ...OPTIONS, maxTokens: 8 }).result();
    const stop = `${whole.slice(-3)}\u0000`;
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 8, stop, collect: true });
    const pieces: string[] = [];
    const ids: number[] = [];
    for await (const { id, text } of generation) {
      pieces.push(text);
      if (id >= 0) ids.push(id);
    }
    expect(pieces.join('')).toBe(whole);
    expect(ids).toEqual(expected.slice(0, 8));
    const result = await generation.result();
    expect(result).toMatchObject({ text: whole, finishReason: 'length' });
    expect(result.tokens.length).toBe(8);
  });

  test('stop strings, log-probabilities and seeds pass the boundary', async () => {
    const model = await loadNano();
    const { text } = await model.generate(PROMPT, { ...OPTIONS, maxTokens: 30 }).result();
    const stop = text.slice(10, 13);
    const stopped = await model
      .generate(PROMPT, { ...OPTIONS, maxTokens: 30, stop: [stop, '\u0000'] })
      .result();
    expect(stopped).toMatchObject({ finishReason: 'stop', stop, text: text.slice(0, text.indexOf(stop)) });
    const { tokens } = await model.generate(PROMPT, { maxTokens: 3, logprobs: 2 }).result();
    for (const { id, logprob, top } of tokens) expect(top![0]).toMatchObject({ id, logprob });
    const sampling = { ...OPTIONS, maxTokens: 16, temperature: 0.9, topP: 0.95, seed: 7 };
    const [first, again] = await Promise.all([1, 2].map(() => model.generate(PROMPT, sampling).result()));
    expect(again!.tokens).toEqual(first!.tokens);
    expect(first!.seed).toBe(7);
    const bias = new Map([[expected[0]!, Number.NEGATIVE_INFINITY]]);
    const [other] = (await model.generate(PROMPT, { maxTokens: 1, logitBias: bias }).result()).tokens;
    expect(other!.id).not.toBe(expected[0]);
  });

  test.each<[string, object]>([
    ['an unknown option', { maxToken: 3 }],
    ['a negative number', { temperature: -1 }],
    ['NaN', { topP: Number.NaN }],
    ['a function', { stop: () => 'no' }],
  ])('%s: INVALID_ARGUMENT, and the model goes on', async (_, options) => {
    const model = await loadNano({ maxSessions: 1 });
    await expect(model.generate(PROMPT, options).result()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(await greedy(model, 4)).toEqual(expected.slice(0, 4));
  });
});

describe('leaving a generation', () => {
  test('by break: its slot is free again, and result() says how it ended', async () => {
    const model = await loadNano({ maxSessions: 1 });
    for (let i = 0; i < 3; i++) {
      const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 10_000 });
      let count = 0;
      for await (const _ of generation) if (++count === 5) break;
      await expect(generation.result()).rejects.toMatchObject({ code: 'ABORTED' });
    }
    expect(await greedy(model, 64)).toEqual(expected);
  });

  test('by an exception of the loop, which passes', async () => {
    const model = await loadNano({ maxSessions: 1 });
    const mine = new Error('mine');
    const loop = (async () => {
      for await (const _ of model.generate(PROMPT, OPTIONS)) throw mine;
    })();
    await expect(loop).rejects.toBe(mine);
    expect(await greedy(model, 4)).toEqual(expected.slice(0, 4));
  });

  test.each([0, 1, 2, 7, 33])('a session goes on exactly after token %i', async (taken) => {
    const model = await loadNano();
    const session = await model.session();
    const ids: number[] = [];
    if (taken > 0)
      for await (const { id } of session.generate(PROMPT, { ...OPTIONS, maxTokens: 64 })) {
        ids.push(id);
        if (ids.length === taken) break;
      }
    else await session.append(PROMPT);
    const position = session.position;
    const rest = await session.generate('', { ...OPTIONS, maxTokens: 64 - taken }).result();
    expect([...ids, ...rest.tokens.map(({ id }) => id)]).toEqual(expected);
    const prompt = (await model.tokenizer.encode(PROMPT)).length;
    expect(position).toBe(prompt - 1 + taken);
    expect(session.position).toBe(prompt - 1 + 64);
  });

  test('aborted while it decodes: ABORTED with the reason, other sessions go on', async () => {
    const model = await loadNano();
    const other = greedy(model, 64);
    const controller = new AbortController();
    const reason = new Error('stop button');
    const generation = model.generate(PROMPT, { ...OPTIONS, maxTokens: 10_000, signal: controller.signal });
    let count = 0;
    const loop = (async () => {
      for await (const _ of generation) if (++count === 9) controller.abort(reason);
    })();
    await expect(loop).rejects.toMatchObject({ code: 'ABORTED', cause: reason });
    await expect(generation.result()).rejects.toMatchObject({ code: 'ABORTED' });
    expect(count).toBe(9);
    expect(await other).toEqual(expected);
  });

  test('aborted in a long prompt: the session is as it was', async () => {
    const model = await loadNano();
    const session = await model.session();
    await session.append(PROMPT);
    const before = session.position;
    const long = new Int32Array(200_000).fill(5);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    await expect(session.generate(long, { signal: controller.signal }).result()).rejects.toMatchObject({
      code: 'ABORTED',
    });
    expect(session.position).toBe(before);
    const { tokens } = await session.generate('', { ...OPTIONS, maxTokens: 10 }).result();
    expect(tokens.map(({ id }) => id)).toEqual(expected.slice(0, 10));
  });

  test('an aborted signal runs nothing', async () => {
    const model = await loadNano();
    const session = await model.session();
    const generation = session.generate(PROMPT, { signal: AbortSignal.abort() });
    await expect(generation.result()).rejects.toMatchObject({ code: 'ABORTED' });
    expect(session.position).toBe(0);
  });

  test.each(['append', 'score', 'logits'] as const)('%s is aborted too', async (method) => {
    const model = await loadNano();
    const session = await model.session();
    const long = new Int32Array(200_000).fill(5);
    const controller = new AbortController();
    const { signal } = controller;
    const options = method === 'logits' ? { signal, last: 1 } : { signal };
    const call = method === 'append' ? session.append(long, options) : model[method](long, options);
    setTimeout(() => controller.abort('late'), 30);
    await expect(call).rejects.toMatchObject({ code: 'ABORTED', cause: 'late' });
    expect(session.position).toBe(0);
    expect(await greedy(model, 8)).toEqual(expected.slice(0, 8));
  });
});
