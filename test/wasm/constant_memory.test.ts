import { afterEach, expect, test, vi } from 'vitest';
import { loadEngine } from '../../src/engine/load.ts';
import { converse, open, take } from '../engine/drive.ts';
import { FULL } from '../helpers/full.ts';
import { held } from '../helpers/heap.ts';
import { NANO } from '../worker/models.ts';
import { variant } from './host.ts';

const MAKERS = ['Memory', 'Module', 'Instance', 'compile', 'instantiate'] as const;
const ORIGINAL = { ...Object.getOwnPropertyDescriptors(WebAssembly) };
afterEach(() => {
  Object.defineProperties(WebAssembly, ORIGINAL);
  vi.restoreAllMocks();
});

/** Counts what takes memory of WebAssembly: memories, modules and instances made, memories grown. */
function countMade(): () => number {
  const grow = vi.spyOn(WebAssembly.Memory.prototype, 'grow');
  let made = 0;
  for (const maker of MAKERS) {
    const counted = new Proxy(WebAssembly[maker] as () => unknown, {
      construct(target, parameters) {
        made += 1;
        return Reflect.construct(target, parameters);
      },
      apply(target, self, parameters) {
        made += 1;
        return Reflect.apply(target, self, parameters);
      },
    });
    Object.defineProperty(WebAssembly, maker, { value: counted });
  }
  return () => made + grow.mock.calls.length;
}

test('after it was loaded a model makes and grows no memory, and host memory stays where it was', async () => {
  const made = countMade();
  let memory: WebAssembly.Memory | undefined;
  const backend = variant('simd', {
    wrap: (parts) => {
      memory = parts.memory;
      return parts;
    },
  });
  const options = { threads: 1, numerics: 'i16', maxSessions: 3 } as const;
  const engine = await loadEngine(NANO, options, { backends: [backend] });
  const atLoad = { made: made(), bytes: memory!.buffer.byteLength };
  expect(atLoad.made).toBeGreaterThan(2);
  const now = () => ({ made: made(), bytes: memory!.buffer.byteLength });
  const sampling = { temperature: 1, seed: 1, ignoreEos: true, maxTokens: 200_000 };
  const run = async (tokens: number) => {
    const session = await open(engine);
    await take(engine, session, 'a', tokens, sampling);
    await engine.closeSession(session); // and with it what it keeps to be rewound
    await converse(engine, tokens / 20);
  };
  await run(1000);
  const before = await held();
  await run(FULL ? 100_000 : 5000);
  expect(now()).toEqual(atLoad);
  expect((await held()) - before).toBeLessThan(2 ** 20);
  await engine.dispose();
});
