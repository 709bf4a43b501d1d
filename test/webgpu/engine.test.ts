import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Backend } from '../../src/backends/types.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { loadEngine } from '../../src/engine/load.ts';
import { generate, handle, ids, open, rejects, take } from '../engine/drive.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { variant } from '../wasm/host.ts';
import { dawn, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // software GPUs compile slowly

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const PROMPT = [1, 5, 9, 200, 31, 77, 12, 400];

describe('a model on WebGPU', () => {
  const backend = dawn();
  let engine: Engine | undefined;
  let reference: Engine;
  const load = (of: Backend) =>
    loadEngine(NANO, { quantize: 'none', numerics: 'exact', maxSessions: 3 }, { backends: [of] });
  beforeAll(async () => {
    reference = await load(variant('simd'));
    const forced = { ...backend, name: 'webgpu' as const };
    if ((await backend.unavailable()) === null)
      engine = await loadEngine(
        NANO,
        { backend: 'webgpu', quantize: 'none', maxSessions: 3 },
        { backends: [forced] },
      );
  });
  afterAll(async () => {
    await engine?.dispose();
    await reference.dispose();
  });
  const loaded = async (context: Parameters<typeof skipUnavailable>[2]): Promise<Engine> => {
    await skipUnavailable(backend, REQUIRED, context);
    return engine!;
  };

  test('says what it runs on', async (context) => {
    const { info } = await loaded(context);
    expect(info).toMatchObject({
      backend: 'webgpu',
      numerics: 'i16',
      why: expect.stringMatching(/adapter/),
    });
    expect(info.totalBytes).toBe(info.weightBytes + info.stateBytes + info.scratchBytes);
  });

  test('greedy tokens are those of WASM', async (context) => {
    const gpu = await loaded(context);
    const options = { maxTokens: 24, ignoreEos: true };
    const [found, wanted] = [
      await generate(gpu, null, PROMPT, options),
      await generate(reference, null, PROMPT, options),
    ];
    expect(ids(found.tokens)).toEqual(ids(wanted.tokens));
  });

  test('draws are those of WASM', async (context) => {
    const gpu = await loaded(context);
    const options = {
      maxTokens: 12,
      ignoreEos: true,
      temperature: 0.9,
      topK: 40,
      topP: 0.95,
      repetitionPenalty: 1.2,
      seed: 11,
    };
    const [found, wanted] = [
      await generate(gpu, null, PROMPT, options),
      await generate(reference, null, PROMPT, options),
    ];
    expect(ids(found.tokens)).toEqual(ids(wanted.tokens));
  });

  test('sessions: left midway, forked, saved there and restored on WASM', async (context) => {
    const gpu = await loaded(context);
    const wanted = ids((await generate(reference, null, PROMPT, { maxTokens: 16, ignoreEos: true })).tokens);
    const session = await open(gpu);
    const left = ids(await take(gpu, session, PROMPT, 5, { ignoreEos: true }));
    const copy = handle();
    await gpu.forkSession(session, copy);
    const rest = async (on: Engine, which: number) =>
      ids((await generate(on, which, [], { maxTokens: 11, ignoreEos: true })).tokens);
    expect([...left, ...(await rest(gpu, session))]).toEqual(wanted);
    const snapshot = await gpu.saveSession(copy, 'f32');
    expect([...left, ...(await rest(gpu, copy))]).toEqual(wanted);
    const restored = handle();
    await reference.restoreSession(restored, snapshot, {});
    expect([...left, ...(await rest(reference, restored))]).toEqual(wanted);
    for (const which of [session, copy]) await gpu.closeSession(which);
    await reference.closeSession(restored);
  });

  test('tests itself', async (context) => {
    const gpu = await loaded(context);
    const report = await gpu.selfTest();
    expect(report.checks.filter(({ ok }) => !ok)).toEqual([]);
  });

  test('more than the budget is refused before a device is made', async (context) => {
    await loaded(context);
    await rejects(
      loadEngine(
        NANO,
        { backend: 'webgpu', quantize: 'none', memoryBudget: 100_000 },
        { backends: [backend] },
      ),
      'OUT_OF_MEMORY',
      /needs \d+ bytes, the budget is 100000/,
    );
  });
});
