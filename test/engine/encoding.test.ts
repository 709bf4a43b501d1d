import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseTokenizer } from '../../src/tokenizer/index.ts';
import { generate, handle, open, rejects } from './drive.ts';
import { fakeEngine } from './fake.ts';

const file = readFileSync(new URL('../models/nano/tokenizer.json', import.meta.url), 'utf8');
const tokenizer = parseTokenizer({ name: 'nano', tokenizer: file }, 1024);
const LONG = 'Once upon a time there was a little cat. '.repeat(12_000); // 120 pieces
const engine = () => fakeEngine({ vocabSize: 1024, tokenizer });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await turn();
};

/** How many turns of the event loop pass while something runs. */
async function turnsOf(work: Promise<unknown>): Promise<number> {
  let count = 0;
  let running = true;
  const counting = (async () => {
    for (; running; count++) await turn();
  })();
  await work;
  running = false;
  await counting;
  return count;
}

describe('a long text', () => {
  test('is encoded over many turns of the event loop; a short one at once', async () => {
    const { engine: e } = engine();
    expect(await turnsOf(e.encode(LONG))).toBeGreaterThan(50);
    expect(await turnsOf(e.encode('Once upon a time.'))).toBeLessThan(5);
  });

  test('lets another session go on meanwhile', async () => {
    const { engine: e } = engine();
    const [slow, fast] = [await open(e), await open(e)];
    let encoded = false;
    const appending = e.append(slow, LONG.slice(0, 400_000), handle()).finally(() => {
      encoded = true;
    });
    await generate(e, fast, 'Once', { maxTokens: 5 });
    expect(encoded).toBe(false);
    await rejects(e.append(slow, 'x', handle()), 'BUSY');
    await e.closeSession(slow);
    await rejects(appending, 'CLOSED');
  });
});

describe('an abort is heard', () => {
  test.each(['encode', 'append', 'score', 'logits', 'scoreContinuations'] as const)('by %s', async (name) => {
    const { engine: e, executor } = engine();
    const session = await open(e);
    const call = handle();
    const running = {
      encode: () => e.encode(LONG, {}, call),
      append: () => e.append(session, LONG, call),
      score: () => e.score(LONG, call),
      logits: () => e.logits(LONG, 1, call),
      scoreContinuations: () => e.scoreContinuations('Once', [' upon', LONG], call),
    }[name]();
    const rejected = rejects(running, 'ABORTED');
    await turns(5);
    e.abort(call);
    expect(await turnsOf(rejected)).toBeLessThan(5);
    expect(executor.steps).toHaveLength(0);
    expect(e.position(session)).toBe(0);
    expect(await e.append(session, 'Once', handle())).toBeGreaterThanOrEqual(0);
  });

  test('by generate', async () => {
    const { engine: e, executor } = engine();
    const session = await open(e);
    const generation = handle();
    await e.startGeneration(generation, session, LONG, {});
    const burst = e.nextBurst(generation);
    await turns(5);
    e.abort(generation);
    expect(await burst).toMatchObject({ tokens: [], end: { finishReason: 'aborted' } });
    expect(executor.steps).toHaveLength(0);
    expect((await generate(e, session, 'Once', { maxTokens: 2 })).tokens).toHaveLength(2);
  });

  test('by dispose', async () => {
    const { engine: e } = engine();
    const session = await open(e);
    const appending = rejects(e.append(session, LONG, handle()), 'CLOSED');
    await turns(3);
    await e.dispose();
    await appending;
  });
});
