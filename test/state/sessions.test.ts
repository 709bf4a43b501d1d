import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { loadEngine } from '../../src/engine/load.ts';
import type { LoadEngineOptions } from '../../src/engine/types.ts';
import { generate, handle, ids, open, rejects, take } from '../engine/drive.ts';
import { variant } from '../wasm/host.ts';
import { NANO } from '../worker/models.ts';

const wasm = variant('simd', { threaded: false });
const load = (options: LoadEngineOptions = {}, backends = [wasm]) =>
  loadEngine(NANO, { threads: 1, checkpointEvery: 50, ...options }, { backends });

const PROMPT = Array.from({ length: 130 }, (_, i) => (i * 37 + 11) % 1000);
const greedy = { maxTokens: 12, ignoreEos: true };

/** What a session goes on with; leaves it there. */
const next = async (engine: Engine, session: number, prompt: number[] = []) =>
  ids((await generate(engine, session, prompt, greedy)).tokens);

async function fresh(engine: Engine, prompt: number[]): Promise<number> {
  const session = await open(engine);
  await engine.append(session, prompt, handle());
  return session;
}

async function forkOf(engine: Engine, session: number): Promise<number> {
  const fork = handle();
  await engine.forkSession(session, fork);
  return fork;
}

async function restored(engine: Engine, bytes: Uint8Array, options = {}): Promise<number> {
  const session = handle();
  await engine.restoreSession(session, bytes, options);
  return session;
}

describe('fork', () => {
  test('both go on as fresh sessions would, bit for bit', async () => {
    const engine = await load();
    const session = await fresh(engine, PROMPT);
    const fork = await forkOf(engine, session);
    expect(engine.position(fork)).toBe(engine.position(session));
    const [a, b] = await Promise.all([next(engine, session, [5, 6]), next(engine, fork, [9])]);
    const alone = [await fresh(engine, PROMPT), await fresh(engine, PROMPT)];
    expect(a).toEqual(await next(engine, alone[0]!, [5, 6]));
    expect(b).toEqual(await next(engine, alone[1]!, [9]));
    expect(a).not.toEqual(b);
    await engine.dispose();
  });

  test('a fork outlives its origin, keeps its past, and takes a slot', async () => {
    const engine = await load({ maxSessions: 2 });
    const session = await fresh(engine, PROMPT);
    const fork = await forkOf(engine, session);
    await rejects(forkOf(engine, session), 'OUT_OF_MEMORY', /2 sessions/);
    await engine.closeSession(session);
    const expected = await next(engine, await fresh(engine, PROMPT.slice(0, 61)));
    await engine.rewind(fork, { position: 60 }, handle());
    expect(await next(engine, fork)).toEqual(expected);
    await engine.dispose();
  });
});

describe('rewind', () => {
  test('to any position: as if it had never gone further', async () => {
    const engine = await load();
    for (const position of [1, 49, 50, 51, 100, 128]) {
      const session = await fresh(engine, PROMPT);
      await next(engine, session);
      expect(await engine.rewind(session, { position }, handle())).toBe(position);
      const expected = await fresh(engine, PROMPT.slice(0, position + 1));
      expect(engine.position(expected)).toBe(position);
      expect(await next(engine, session, [3])).toEqual(await next(engine, expected, [3]));
      await engine.closeSession(session);
      await engine.closeSession(expected);
    }
    await engine.dispose();
  });

  test('costs the distance to the nearest checkpoint', async () => {
    let consumed = 0;
    const engine = await load({}, [
      {
        ...wasm,
        create: async (...args: Parameters<typeof wasm.create>) => {
          const executor = await wasm.create(...args);
          const step = executor.step.bind(executor);
          executor.step = (wanted) => {
            consumed += wanted.ids.length;
            return step(wanted);
          };
          return executor;
        },
      },
    ]);
    const session = await fresh(engine, PROMPT.concat(PROMPT, PROMPT));
    for (const position of [388, 377, 310, 299, 123, 49]) {
      consumed = 0;
      await engine.rewind(session, { position }, handle());
      expect(consumed).toBe(position % 50);
    }
    await engine.dispose();
  });

  test('turns: edit, regenerate, and back to the beginning', async () => {
    const engine = await load();
    const session = await fresh(engine, PROMPT.slice(0, 20));
    const first = await next(engine, session, [5]);
    const second = await next(engine, session, [6]);
    await engine.rewind(session, { turn: -1 }, handle());
    expect(await next(engine, session, [6])).toEqual(second);
    await engine.rewind(session, { turn: 1 }, handle());
    expect(await next(engine, session, [5])).toEqual(first);
    await engine.rewind(session, { turn: 0 }, handle());
    expect(engine.position(session)).toBe(0);
    await rejects(engine.rewind(session, { turn: 0 }, handle()), 'INVALID_ARGUMENT', /has 0 turns/);
    await engine.dispose();
  });

  test('beyond what is remembered: POSITION_UNAVAILABLE, with the earliest position left', async () => {
    const engine = await load({ maxHistory: 40, checkpointBytes: 0 });
    const session = await fresh(engine, PROMPT);
    await rejects(
      engine.rewind(session, { position: 100 }, handle()),
      'POSITION_UNAVAILABLE',
      /earliest.* 129/,
    );
    expect(engine.position(session)).toBe(129);
    await engine.rewind(session, { position: 0 }, handle());
    expect(engine.position(session)).toBe(0);
    await engine.dispose();
  });

  test('positions and turns that make no sense', async () => {
    const engine = await load();
    const session = await fresh(engine, PROMPT);
    for (const target of [{ position: -1 }, { position: 1.5 }, { position: 130 }, { turn: 1 }, { turn: -2 }])
      await rejects(
        engine.rewind(session, target as never, handle()),
        'INVALID_ARGUMENT',
        /must be an integer/,
      );
    await engine.dispose();
  });

  test('a generation that was left is forgotten as well', async () => {
    const engine = await load();
    const session = await fresh(engine, PROMPT);
    const expected = await next(engine, await fresh(engine, PROMPT.slice(0, 101)));
    await take(engine, session, [], 5, greedy);
    await engine.rewind(session, { position: 100 }, handle());
    expect(await next(engine, session)).toEqual(expected);
    await engine.dispose();
  });
});

describe('save and restore', () => {
  test('the same tokens, also after the engine is gone; a restored session can be saved, forked and rewound', async () => {
    const engine = await load();
    const session = await fresh(engine, PROMPT);
    const bytes = await engine.saveSession(session, 'f32');
    expect(bytes.length).toBeLessThanOrEqual(engine.info.slotBytes + 4096);
    const expected = await next(engine, session);
    await engine.dispose();
    const other = await load();
    const again = await restored(other, bytes);
    expect(await other.saveSession(again, 'f32')).toEqual(bytes);
    const fork = await forkOf(other, again);
    expect(await next(other, again)).toEqual(expected);
    await other.rewind(again, { turn: -1 }, handle());
    expect(await next(other, again)).toEqual(expected);
    expect(await next(other, fork)).toEqual(expected);
    await rejects(other.rewind(again, { position: 5 }, handle()), 'POSITION_UNAVAILABLE', /earliest.* 129/);
    await other.dispose();
  });

  test('portable: from WASM to the float64 reference and back, with the same greedy tokens', async () => {
    const exact = { quantize: 'none', numerics: 'exact' } as const;
    const [here, there] = [await load(exact), await load({ ...exact, backend: 'reference' }, [reference])];
    const session = await fresh(here, PROMPT);
    const bytes = await here.saveSession(session, 'f32');
    const expected = await next(here, session);
    const over = await restored(there, bytes);
    const back = await restored(here, await there.saveSession(over, 'f16'));
    expect(await next(there, over)).toEqual(expected);
    expect(await next(here, back)).toEqual(expected);
    await Promise.all([here.dispose(), there.dispose()]);
  });

  test('a fresh session, and one with nothing consumed', async () => {
    const engine = await load();
    for (const prompt of [[], [5]]) {
      const session = await open(engine);
      await engine.append(session, prompt, handle());
      const again = await restored(engine, await engine.saveSession(session, 'f32'));
      expect(await next(engine, again)).toEqual(await next(engine, session));
      await Promise.all([engine.closeSession(session), engine.closeSession(again)]);
    }
    await engine.dispose();
  });

  test('weights quantized otherwise: refused, unless allowed', async () => {
    const [engine, other] = [await load({ quantize: 'q8' }), await load({ quantize: 'q4' })];
    const bytes = await engine.saveSession(await fresh(engine, PROMPT), 'f32');
    await rejects(restored(other, bytes), 'STATE_MISMATCH', /q8 in groups of 32, expected q4/);
    await restored(other, bytes, { allowQuantization: true });
    await Promise.all([engine.dispose(), other.dispose()]);
  });

  test('a refused snapshot takes no slot, and leaves other sessions as they are', async () => {
    const engine = await load({ maxSessions: 2 });
    const session = await fresh(engine, PROMPT);
    const bytes = await engine.saveSession(session, 'f32');
    for (const cut of [0, 10, 100, bytes.length - 1])
      await rejects(restored(engine, bytes.subarray(0, cut)), 'INVALID_FILE');
    const again = await restored(engine, bytes);
    expect(await next(engine, again)).toEqual(await next(engine, session));
    await engine.dispose();
  });

  test('while it generates: BUSY', async () => {
    const engine = await load();
    const session = await fresh(engine, PROMPT);
    await engine.startGeneration(77, session, [], greedy);
    await rejects(engine.saveSession(session, 'f32'), 'BUSY');
    await rejects(forkOf(engine, session), 'BUSY');
    await rejects(engine.rewind(session, { turn: 0 }, handle()), 'BUSY');
    await engine.dispose();
  });
});

test('memory is what it was after thousands of sessions, forks, saves and rewinds', async () => {
  let memory: WebAssembly.Memory | undefined;
  const backend = variant('simd', {
    threaded: false,
    wrap: (parts) => {
      memory = parts.memory;
      return parts;
    },
  });
  const engine = await load({}, [backend]);
  const before = [memory!.buffer.byteLength, { ...engine.info }] as const;
  const session = await fresh(engine, PROMPT.slice(0, 30));
  for (let i = 0; i < 500; i++) {
    const fork = await forkOf(engine, session);
    await engine.append(fork, [i % 1000], handle());
    await engine.rewind(fork, { position: 10 }, handle());
    const again = await restored(engine, await engine.saveSession(fork, 'f16'));
    await Promise.all([engine.closeSession(fork), engine.closeSession(again)]);
  }
  expect([memory!.buffer.byteLength, { ...engine.info }]).toEqual(before);
  await engine.dispose();
});
