import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Backend, Executor } from '../../src/backends/types.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { EdgeError } from '../../src/errors.ts';
import { wasmModule } from '../../src/runtime/node.ts';
import { EngineHost } from '../../workers/service.ts';
import { variant } from '../wasm/host.ts';
import { handle, rejects } from './drive.ts';

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const PROMPT = Array.from({ length: 80 }, (_, i) => (i * 7) % 500);
const OPTIONS = { maxTokens: 24, ignoreEos: true, repetitionPenalty: 1.2 };
const LOST = new EdgeError('DEVICE_LOST', 'The device was lost');
const TOUCHES = ['step', 'stepAhead', 'resetSlot', 'copySlot', 'readSlot', 'writeSlot'] as const;

/** A backend called WebGPU whose devices are lost as they are used the `lives[i]`th time; later ones last. */
function mortal(lives: number[], goesAhead = false): Backend {
  const wasm = variant('simd');
  return {
    ...wasm,
    name: 'webgpu',
    async create(...args) {
      const executor = await wasm.create(...args);
      let left = lives.shift() ?? Number.POSITIVE_INFINITY;
      const touched =
        (method: (typeof TOUCHES)[number]) =>
        async (...given: never[]) => {
          left -= 1;
          if (left < 0) throw LOST;
          return (executor[method] as (...given: never[]) => unknown).apply(executor, given);
        };
      return new Proxy(executor, {
        get(target, key) {
          if (key === 'lost') return left < 0;
          if (key === 'stepAhead' && !goesAhead) return undefined;
          if (TOUCHES.includes(key as never)) return touched(key as never);
          const value = Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }) as Executor;
    },
  };
}

async function host(backends: Backend[], options: EngineOptions = {}): Promise<EngineHost> {
  const loader = { progress: () => {}, readFile: async () => new ArrayBuffer(0), wasmModule };
  const engine = new EngineHost(loader, () => backends);
  await engine.load(
    { kind: 'location', location: NANO, download: {} },
    { quantize: 'none', numerics: 'exact', threads: 1, backend: 'webgpu', maxSessions: 3, ...options },
  );
  return engine;
}

/** What it gives, however often the device is lost on the way; and how often that was. */
async function steadily<T>(engine: EngineHost, run: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      expect(error).toMatchObject({ code: 'DEVICE_LOST' });
      await engine.recover();
    }
  }
}

/** A prompt and 24 tokens more, with a fork and a turn in between; all that is delivered. */
async function converse(engine: EngineHost): Promise<number[][]> {
  const session = handle();
  const fork = handle();
  const idle = handle();
  for (const which of [idle, session]) await steadily(engine, () => engine.openSession(which));
  await steadily(engine, () => engine.append(idle, PROMPT.slice(9), handle()));
  await steadily(engine, () => engine.append(session, PROMPT, handle()));
  const talk = async (which: number, prompt: number[]) => {
    const taken: number[] = [];
    while (taken.length < OPTIONS.maxTokens) {
      const generation = handle();
      await steadily(engine, async () => {
        const first = taken.length === 0 ? prompt : [];
        await engine.startGeneration(generation, which, first, {
          ...OPTIONS,
          maxTokens: OPTIONS.maxTokens - taken.length,
        });
        for (;;) {
          const { tokens, end } = await engine.nextBurst(generation);
          taken.push(...tokens.map(({ id }) => id));
          if (end) return;
        }
      });
    }
    return taken;
  };
  const first = await talk(session, [3]);
  await steadily(engine, () => engine.forkSession(session, fork));
  const position = engine.position(session);
  const second = await talk(session, [5, 6]);
  const third = await talk(fork, []);
  await steadily(engine, () => engine.rewind(session, { position }, handle()));
  const fourth = await talk(session, [9]);
  return [first, second, third, fourth, await talk(idle, [])];
}

const undisturbed = await (async () => {
  const engine = await host([mortal([])]);
  const talks = await converse(engine);
  await engine.dispose();
  return talks;
})();

test.each([
  ['checkpoints', { checkpointEvery: 16 }, false],
  ['no checkpoints', { checkpointBytes: 0 }, false],
  ['sessions in host memory', { maxSessions: 2, spill: 1, checkpointEvery: 32 }, false],
  ['many steps at a time', { checkpointEvery: 16 }, true],
] as const)(
  'wherever the device is lost, sessions go on after the last token delivered: %s',
  async (_, options, goesAhead) => {
    for (let life = 1; life < 120; life += goesAhead ? 2 : 7) {
      const engine = await host([mortal([life, 2 * life, 40], goesAhead)], options);
      expect(await converse(engine), `lost at use ${life}`).toEqual(undisturbed);
      await engine.dispose();
    }
  },
  120_000,
);

test('auto goes on with another backend where no GPU is left', async () => {
  const gpu = mortal([Number.POSITIVE_INFINITY, 30]); // the known-answer test takes the first
  const create = gpu.create.bind(gpu);
  let devices = 2;
  gpu.create = (...args) =>
    devices-- > 0 ? create(...args) : Promise.reject(new EdgeError('UNSUPPORTED_BACKEND', 'it is gone'));
  const engine = await host([gpu, variant('simd')], { backend: 'auto' });
  expect(await converse(engine)).toEqual(undisturbed);
  expect(await engine.recover()).toMatchObject({ backend: 'wasm', why: expect.stringMatching(/it is gone/) });
  await engine.dispose();
});

test('a session whose past is no longer known can only be reset', async () => {
  const engine = await host([mortal([40])], { checkpointBytes: 0, maxHistory: 20 });
  const session = handle();
  await engine.openSession(session);
  await engine.append(session, PROMPT, handle());
  await engine.append(session, PROMPT, handle());
  const wear = async () => {
    for (;;) await engine.score([1, 2], handle());
  };
  await rejects(wear(), 'DEVICE_LOST');
  await engine.recover();
  await rejects(engine.append(session, [1], handle()), 'INTERNAL', /reset it to go on/);
  await engine.resetSession(session);
  expect(await engine.append(session, [1, 2], handle())).toBe(1);
  await engine.dispose();
});

test('what is pending and what follows is rejected until it is recovered; a recovery that fails can be tried again', async () => {
  const gpu = mortal([12]);
  const create = gpu.create.bind(gpu);
  let refusals = 0;
  gpu.create = (...args) =>
    refusals-- > 0 ? Promise.reject(new EdgeError('UNSUPPORTED_BACKEND', 'not yet')) : create(...args);
  const engine = await host([gpu]);
  const before = await engine.recover(); // nothing was lost
  const session = handle();
  await engine.openSession(session);
  await engine.append(session, PROMPT, handle());
  const long = () => Promise.all([1, 2].map(() => engine.score(Array(2000).fill(3), handle())));
  await rejects(long(), 'DEVICE_LOST');
  await rejects(engine.append(session, [4], handle()), 'DEVICE_LOST');
  refusals = 1;
  await rejects(engine.recover(), 'UNSUPPORTED_BACKEND', /not yet/);
  await rejects(engine.append(session, [4], handle()), 'DEVICE_LOST');
  const [first, second] = await Promise.all([engine.recover(), engine.recover()]);
  expect(first).toEqual(before);
  expect(second).toBe(first);
  expect(engine.position(session)).toBe(PROMPT.length - 1);
  expect(await engine.append(session, [4], handle())).toBe(PROMPT.length);
  await engine.dispose();
});
