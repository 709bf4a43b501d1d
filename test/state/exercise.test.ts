import { expect, test } from 'vitest';
import { FULL } from '../helpers/full.ts';
import { Random } from '../helpers/random.ts';
import { variant } from '../wasm/host.ts';
import { Exercise, loadFixtureEngine } from './operations.ts';

test.each([
  ['mamba2-a', 32, FULL ? 4000 : 200],
  ['mamba2-a', 1000, FULL ? 4000 : 200], // checkpoints of turns only
  ['rene-a', 32, FULL ? 2000 : 150],
] as const)(
  'random operations are what a replay from scratch gives, to the bit: %s, every %i tokens',
  async (name, checkpointEvery, count) => {
    const backend = variant('simd');
    const fresh = await loadFixtureEngine(name, backend, { checkpointBytes: 0 });
    const { slotBytes } = fresh.info;
    const engine = await loadFixtureEngine(name, backend, {
      maxSessions: 2,
      spill: 3,
      maxHistory: checkpointEvery === 32 ? 60 : 400,
      checkpointEvery,
      checkpointBytes: 9 * slotBytes,
      cacheBytes: 5 * slotBytes,
    });
    const before = engine.stats();
    const exercise = new Exercise(engine, fresh, new Random(2024), 5);
    await exercise.run(count);
    for (const operation of [
      'fork',
      'rewind',
      'rewind turn',
      'save, close, restore',
      'leave',
      ...(checkpointEvery === 32 ? ['unavailable'] : []),
      'compared',
    ])
      expect(exercise.done[operation] ?? 0, operation).toBeGreaterThan(0);
    const { sessions, spilled, checkpoints, prefixCache } = engine.stats();
    expect({ sessions, spilled, checkpoints: checkpoints.bytes }).toEqual({
      sessions: 0,
      spilled: 0,
      checkpoints: 0,
    });
    expect(before.checkpoints.maxBytes).toBe(9 * slotBytes);
    expect(prefixCache!.hits).toBeGreaterThan(0);
    expect(prefixCache!.bytes).toBeLessThanOrEqual(5 * slotBytes);
    await engine.dispose();
    await fresh.dispose();
  },
  600_000,
);
