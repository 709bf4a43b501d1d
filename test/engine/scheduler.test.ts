import { describe, expect, test } from 'vitest';
import { Call } from '../../src/engine/core/call.ts';
import { Scheduler, type Work } from '../../src/engine/core/scheduler.ts';
import { EdgeError } from '../../src/errors.ts';
import { generate, handle, ids, open, rejects } from './drive.ts';
import { FakeExecutor, fakeEngine } from './fake.ts';

function make(chunk: number, slots = 6) {
  const maxContext = Number.POSITIVE_INFINITY;
  const program = { buffers: {}, weights: {}, states: {}, calls: [], vocabSize: 50, chunk, maxContext };
  const executor = new FakeExecutor(program, slots);
  executor.state.fill(1);
  const scheduler = new Scheduler(executor, chunk);
  const work = (slot: number, rows: number, more: Partial<Work> = {}): Work => ({
    slot,
    position: executor.consumed[slot]!,
    ids: new Int32Array(rows).fill(slot),
    outputs: [],
    call: new Call(),
    ...more,
  });
  const shape = () =>
    executor.steps.map((step) => step.segments.map(({ slot, rows }) => `${slot}x${rows}`).join(' '));
  return { executor, scheduler, work, shape };
}

describe('what a step holds', () => {
  test('rows that decode are merged, and a prefill gets the room that is left', async () => {
    const { scheduler, work, shape } = make(8);
    await Promise.all([scheduler.run(work(0, 1)), scheduler.run(work(1, 20)), scheduler.run(work(2, 1))]);
    expect(shape()).toEqual(['0x1 2x1 1x6', '1x8', '1x6']);
  });

  test('short prefills share a step', async () => {
    const { scheduler, work, shape } = make(8);
    await Promise.all([2, 3, 2, 4].map((rows, slot) => scheduler.run(work(slot, rows))));
    expect(shape()).toEqual(['0x2 1x3 2x2 3x1', '3x3']);
  });

  test('prefills take turns', async () => {
    const { scheduler, work, shape } = make(4);
    await Promise.all([scheduler.run(work(0, 12)), scheduler.run(work(1, 4)), scheduler.run(work(2, 5))]);
    expect(shape()).toEqual(['0x4', '1x4', '2x4', '2x1 0x3', '0x4', '0x1']);
  });

  test('who decodes never waits longer than one chunk, who prefills never for ever', async () => {
    for (const chunk of [1, 2, 4]) {
      const { executor, scheduler, work } = make(chunk);
      let prefilled = false;
      const prefill = scheduler.run(work(5, 10)).then(() => {
        prefilled = true;
      });
      const waits: number[] = [];
      const decode = async (slot: number) => {
        for (let i = 0; i < 100 && !prefilled; i++) {
          const before = executor.steps.length;
          await scheduler.run(work(slot, 1));
          waits.push(executor.steps.length - before);
        }
      };
      await Promise.all([prefill, ...[0, 1, 2].map(decode)]);
      expect(prefilled).toBe(true);
      expect(waits.length).toBeLessThan(100); // it did not have to wait until they were through
      // Three decode: with a chunk of n rows, each has its turn within ⌈3 / max(1, n − 1)⌉ + 1 steps, or 6 if n = 1.
      expect(Math.max(...waits)).toBeLessThanOrEqual(chunk === 1 ? 6 : Math.ceil(3 / (chunk - 1)) + 1);
      if (chunk === 4) expect(Math.max(...waits)).toBeLessThanOrEqual(2);
    }
  });

  test('outputs come back to whom they belong', async () => {
    const { scheduler, work } = make(4);
    const seen: string[] = [];
    const wanted = (slot: number, rows: number[]): Partial<Work> => ({
      outputs: rows.map((row) => ({ row, target: slot })),
      take: ({ target }, { row }) => seen.push(`${slot}:${row}:${typeof target}`),
    });
    await Promise.all([
      scheduler.run(work(0, 6, wanted(0, [0, 3, 5]))),
      scheduler.run(work(1, 1, wanted(1, [0]))),
      scheduler.run(work(2, 3, wanted(2, [2]))),
    ]);
    expect(seen.sort()).toEqual(['0:0:number', '0:3:number', '0:5:number', '1:0:number', '2:2:number']);
  });
});

describe('between steps', () => {
  test('the event loop gets its turn', async () => {
    const { executor, scheduler, work } = make(1);
    let turns = 0;
    let ended = false;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      turns++;
      if (!ended) port2.postMessage(0);
    };
    port2.postMessage(0);
    await scheduler.run(work(0, 50));
    ended = true;
    port1.close();
    expect(executor.steps).toHaveLength(50);
    expect(turns).toBeGreaterThan(25);
  });

  test('operations on slots never overlap with a step', async () => {
    const { executor, scheduler, work } = make(2);
    executor.before = () => new Promise((resolve) => setTimeout(resolve, 1));
    const running = scheduler.run(work(0, 10));
    for (let i = 0; i < 5; i++) await scheduler.exclusive(() => executor.copySlot(0, 1));
    await running;
    expect(executor.copies).toBe(5); // the executor throws if they do
  });

  test('an aborted call is dropped, the others go on', async () => {
    const { executor, scheduler, work } = make(4);
    const call = new Call();
    executor.before = () => {
      if (executor.steps.length === 2) call.abort();
    };
    const aborted = rejects(scheduler.run(work(0, 100, { call })), 'ABORTED');
    await scheduler.run(work(1, 40));
    await aborted;
    expect(executor.consumed[0]).toBeLessThanOrEqual(8);
  });

  test('a failed step rejects what was in it, and only that', async () => {
    const { executor, scheduler, work } = make(4);
    executor.before = ({ segments }) => {
      if (segments.some(({ slot }) => slot === 0)) throw new Error('no');
    };
    const first = expect(scheduler.run(work(0, 4))).rejects.toThrow('no');
    await scheduler.run(work(1, 8));
    await first;
    await scheduler.run(work(1, 1));
  });

  test('close rejects what waits and waits for the step under way', async () => {
    const { executor, scheduler, work } = make(4);
    executor.before = () => new Promise((resolve) => setTimeout(resolve, 3));
    const reason = new EdgeError('CLOSED', 'over');
    const running = [
      rejects(scheduler.run(work(0, 100)), 'CLOSED'),
      rejects(scheduler.run(work(1, 100)), 'CLOSED'),
    ];
    await new Promise((resolve) => setTimeout(resolve, 4));
    await scheduler.close(reason);
    expect(executor.busy).toBe(false);
    await Promise.all(running);
    await rejects(scheduler.run(work(0, 1)), 'CLOSED');
    await rejects(
      scheduler.exclusive(async () => 1),
      'CLOSED',
    );
  });

  test('work that comes when the last has just ended is not forgotten', async () => {
    const { executor, scheduler, work } = make(4);
    for (let i = 0; i < 50; i++) {
      await scheduler.run(work(0, 1));
      for (let k = 0; k < i % 7; k++) await null;
    }
    expect(executor.steps).toHaveLength(50);
  });
});

describe('many at once', () => {
  test('sessions beside each other get the tokens that they get alone', async () => {
    const options = (i: number) => ({ maxTokens: 10 + i, temperature: 1, seed: i, repetitionPenalty: 1.3 });
    const prompt = (i: number) => Array.from({ length: 1 + i * 9 }, (_, k) => (k * 7 + i) % 50);
    const { engine, executor } = fakeEngine({ maxSessions: 5 });
    const together = await Promise.all(
      [0, 1, 2, 3, 4].map(async (i) => {
        const session = i % 2 ? await open(engine) : null;
        return ids((await generate(engine, session, prompt(i), options(i))).tokens);
      }),
    );
    expect(Math.max(...executor.steps.map((step) => step.segments.length))).toBeGreaterThan(3);
    for (const [i, tokens] of together.entries()) {
      const alone = await generate(fakeEngine().engine, null, prompt(i), options(i));
      expect(tokens).toEqual(ids(alone.tokens));
    }
  });

  test('score and logits beside a generation', async () => {
    const { engine } = fakeEngine();
    const alone = await engine.score([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], handle());
    const [together] = await Promise.all([
      engine.score([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], handle()),
      generate(engine, null, [1, 2, 3], { maxTokens: 20 }),
      engine.logits([3, 4], 2, handle()),
    ]);
    expect(together).toEqual(alone);
  });
});
