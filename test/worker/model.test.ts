import type { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { greedy, loadNano, NANO, PROMPT } from './models.ts';

describe('a model in a worker', () => {
  test('says what it is', async () => {
    const { info } = await loadNano();
    expect(info).toMatchObject({
      architecture: 'rene',
      backend: 'wasm',
      threads: 1,
      numerics: 'i8',
      maxSessions: 4,
    });
    expect(info.totalBytes).toBe(info.weightBytes + info.stateBytes + info.scratchBytes);
    expect(info.fingerprint).toMatch(/^[0-9a-f]{16,}$/);
  });

  test('the tokenizer goes there and back', async () => {
    const { tokenizer, info } = await loadNano();
    const text = 'Héllo, wörld 🌍!';
    const ids = await tokenizer.encode(text);
    expect(ids).toBeInstanceOf(Int32Array);
    expect(await tokenizer.decode(ids)).toBe(text);
    expect(await tokenizer.decode([...ids])).toBe(text);
    await expect(tokenizer.decode([info.vocabSize])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('a long text that is encoded hears its signal, and keeps nobody waiting', async () => {
    const model = await loadNano();
    const long = `${PROMPT} `.repeat(200_000);
    for (const start of [
      (signal: AbortSignal) => model.tokenizer.encode(long, { signal }),
      (signal: AbortSignal) => model.score(long, { signal }),
      (signal: AbortSignal) => model.generate(long, { signal }).result(),
    ]) {
      const controller = new AbortController();
      let settled = false;
      const encoding = start(controller.signal).finally(() => {
        settled = true;
      });
      const rejected = expect(encoding).rejects.toMatchObject({ code: 'ABORTED' });
      await greedy(model, 1);
      expect(settled).toBe(false);
      controller.abort();
      await rejected;
    }
    await expect(model.tokenizer.encode('x', { special: true } as never)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  test('logits: all rows, the last ones, of text and of ids; the arguments stay whole', async () => {
    const model = await loadNano();
    const { vocabSize } = model.info;
    const ids = await model.tokenizer.encode(PROMPT);
    const all = await model.logits(ids);
    expect(all.length).toBe(ids.length * vocabSize);
    expect(ids.byteLength).toBeGreaterThan(0); // not given away
    const last = await model.logits(PROMPT, { last: 1 });
    expect(last).toEqual(all.slice(-vocabSize));
    const best = last.reduce((best, value, id) => (value > last[best]! ? id : best), 0);
    expect([best]).toEqual(await greedy(model, 1));
    await expect(model.logits(ids, { last: 0 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(model.logits([-1])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('scores agree with logits', async () => {
    const model = await loadNano();
    const { ids, logprobs, total, perplexity } = await model.score(PROMPT);
    const { vocabSize } = model.info;
    const logits = await model.logits(ids);
    expect(logprobs[0]).toBeNaN();
    for (let i = 1; i < ids.length; i++) {
      const row = logits.subarray((i - 1) * vocabSize, i * vocabSize);
      const sum = row.reduce((sum, x) => sum + Math.exp(x), 0);
      expect(logprobs[i]).toBeCloseTo(row[ids[i]!]! - Math.log(sum), 4);
    }
    expect(perplexity).toBeCloseTo(Math.exp(-total / (ids.length - 1)), 3);
  });

  test('tests itself', async () => {
    const model = await loadNano();
    expect(await model.recover()).toEqual(model.info); // no device was lost
    const report = await model.selfTest();
    expect(report.checks.length).toBeGreaterThan(0);
    expect(report.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(report.ok).toBe(true);
  });

  test('await using disposes', async () => {
    let kept: Awaited<ReturnType<typeof load>>;
    {
      await using model = await load(NANO, { threads: 1 });
      await using session = await model.session();
      await session.append(PROMPT);
      kept = model;
    }
    await expect(kept.session()).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('sessions', () => {
  test('run side by side without touching each other', async () => {
    const model = await loadNano();
    const expected = await greedy(model, 24);
    const sessions = await Promise.all([1, 2, 3, 4].map(() => model.session()));
    const texts = await Promise.all(
      sessions.map((session) => session.generate(PROMPT, { maxTokens: 24, ignoreEos: true }).result()),
    );
    for (const { tokens } of texts) expect(tokens.map(({ id }) => id)).toEqual(expected);
    await expect(model.session()).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    await sessions[0]!.close();
    await (await model.session()).close();
  });

  test('append, generate, reset and position', async () => {
    const model = await loadNano();
    const expected = await greedy(model, 10);
    const session = await model.session();
    const ids = [...(await model.tokenizer.encode(PROMPT))];
    expect(session.position).toBe(0);
    for (const [i, id] of ids.entries()) expect(await session.append([id])).toBe(i); // the last one is pending
    const { tokens } = await session.generate('', { maxTokens: 10, ignoreEos: true }).result();
    expect(tokens.map(({ id }) => id)).toEqual(expected);
    expect(session.position).toBe(ids.length + 9);
    await session.reset();
    expect(session.position).toBe(0);
    const again = await session.generate(Int32Array.from(ids), { maxTokens: 10, ignoreEos: true }).result();
    expect(again.tokens).toEqual(tokens);
  });

  test('one generation at a time: BUSY', async () => {
    const model = await loadNano();
    const session = await model.session();
    for await (const _ of session.generate(PROMPT, { maxTokens: 40, ignoreEos: true })) {
      const busy = expect.objectContaining({ code: 'BUSY' });
      await expect(session.generate('').result()).rejects.toEqual(busy);
      await expect(session.append('x')).rejects.toEqual(busy);
      await expect(session.reset()).rejects.toEqual(busy);
      break;
    }
    expect(await session.append('x')).toBeGreaterThan(0);
  });

  test('closed: CLOSED, and closing again is harmless', async () => {
    const model = await loadNano();
    const session = await model.session();
    await session.close();
    await session.close();
    const closed = expect.objectContaining({ code: 'CLOSED' });
    await expect(session.append('x')).rejects.toEqual(closed);
    await expect(session.reset()).rejects.toEqual(closed);
    expect(() => session.generate('x')).toThrow(closed);
    expect((await greedy(model, 2)).length).toBe(2);
  });
});

describe('the end of a model', () => {
  test('disposed: what is pending rejects with CLOSED, what comes later too', async () => {
    const model = await loadNano();
    const session = await model.session();
    const pending = [
      session.append(new Int32Array(100_000).fill(5)),
      model.score(new Int32Array(100_000).fill(5)),
      model.generate(new Int32Array(100_000).fill(5)).result(),
    ].map((call) => expect(call).rejects.toMatchObject({ code: 'CLOSED' }));
    await Promise.all([model.dispose(), model.dispose()]);
    await Promise.all(pending);
    const closed = expect.objectContaining({ code: 'CLOSED' });
    await expect(model.score(PROMPT)).rejects.toEqual(closed);
    await expect(model.generate(PROMPT).result()).rejects.toEqual(closed);
    await expect(model.tokenizer.encode(PROMPT)).rejects.toEqual(closed);
    await expect(model.selfTest()).rejects.toEqual(closed);
    await expect(session.append('x')).rejects.toEqual(closed);
    await session.close();
    await model.dispose();
  });

  test.each([false, true])('in place (worker: false) it ends as well; generating: %s', async (generating) => {
    const model = await load(NANO, { threads: 1, worker: false });
    if (generating) {
      const loop = (async () => {
        for await (const _ of model.generate(PROMPT, { maxTokens: 1000, ignoreEos: true }))
          await model.dispose();
      })();
      await expect(loop).rejects.toMatchObject({ code: 'CLOSED' });
    }
    await model.dispose();
    await expect(model.session()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('a killed worker: every pending call rejects with WORKER_DIED, later ones too; others live on', async () => {
    let worker: Worker | undefined;
    process.once('worker', (started: Worker) => {
      worker = started;
    });
    const model = await loadNano();
    const other = await loadNano();
    const session = await model.session();
    const generation = model.generate(PROMPT, { maxTokens: 100_000, ignoreEos: true });
    const pending = [
      generation.result(),
      session.append(new Int32Array(100_000).fill(5)),
      model.score(new Int32Array(100_000).fill(5)),
    ].map((call) => expect(call).rejects.toMatchObject({ code: 'WORKER_DIED' }));
    await model.tokenizer.encode('all calls are on their way');
    await worker!.terminate();
    await Promise.all(pending);
    const died = expect.objectContaining({ code: 'WORKER_DIED' });
    await expect(model.session()).rejects.toEqual(died);
    await expect(model.generate(PROMPT).result()).rejects.toEqual(died);
    await expect(session.append('x')).rejects.toEqual(died);
    await model.dispose();
    expect((await greedy(other, 3)).length).toBe(3);
  });
});
