import { expect, test, vi } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { generate, handle, ids } from '../engine/drive.ts';
import { FULL } from '../helpers/full.ts';
import { Random } from '../helpers/random.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { type Agreement, Exercise, loadFixtureEngine } from '../state/operations.ts';
import { variant } from '../wasm/host.ts';
import { dawn, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 600_000 }); // software GPUs compile slowly

const TOLERANCE = 1e-3; // of log-probabilities, natural

/** What a copy of a session goes on with: greedy tokens and the best log-probabilities of each. */
async function goesOn(engine: Engine, session: number) {
  const copy = handle();
  await engine.forkSession(session, copy);
  const { tokens } = await generate(engine, copy, [1], { maxTokens: 3, logprobs: 5, ignoreEos: true });
  await engine.closeSession(copy);
  return tokens;
}

const sameTokens: Agreement = async (engine, session, fresh, replayed) => {
  const [found, expected] = [await goesOn(engine, session), await goesOn(fresh, replayed)];
  expect(ids(found)).toEqual(ids(expected));
  for (const [i, { top }] of found.entries())
    for (const [k, { logprob }] of top!.entries())
      expect(Math.abs(logprob - expected[i]!.top![k]!.logprob)).toBeLessThan(TOLERANCE);
};

test('random operations on WebGPU give what a replay from scratch on WASM gives', async (context) => {
  await skipUnavailable(dawn(), REQUIRED, context);
  const settings = { quantize: 'none', numerics: 'exact', maxSessions: 3 } as const;
  const fresh = await loadFixtureEngine('mamba2-a', variant('simd'), { ...settings, checkpointBytes: 0 });
  const { slotBytes } = fresh.info;
  const engine = await loadFixtureEngine('mamba2-a', dawn(), {
    ...settings,
    backend: 'webgpu',
    spill: 3,
    maxHistory: 60,
    checkpointEvery: 32,
    checkpointBytes: 9 * slotBytes,
    cacheBytes: 5 * slotBytes,
  });
  const exercise = new Exercise(engine, fresh, new Random(2024), 4, sameTokens);
  await exercise.run(FULL ? 1000 : 50);
  for (const operation of ['fork', 'rewind', 'save, close, restore', 'leave', 'compared'])
    expect(exercise.done[operation] ?? 0, operation).toBeGreaterThan(0);
  expect(engine.stats()).toMatchObject({ sessions: 0, spilled: 0, checkpoints: { bytes: 0 } });
  await engine.dispose();
  await fresh.dispose();
});
