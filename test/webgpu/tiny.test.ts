import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import type { Backend } from '../../src/backends/types.ts';
import { loadEngine } from '../../src/engine/load.ts';
import { generate, ids } from '../engine/drive.ts';
import { FULL } from '../helpers/full.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { variant } from '../wasm/host.ts';
import { dawn, ON_LAVAPIPE, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 600_000 }); // software GPUs are slow

const TINY = fileURLToPath(new URL('../../models/tiny', import.meta.url));
const TOKENS = FULL ? 200 : ON_LAVAPIPE ? 32 : 8;
/** On lavapipe: as users have it, rows in f16 and integers. */
const DEFAULTS = { numerics: 'i8', chunk: 64 } as const;
const SHORT = 'Once upon a time, there was a little';
/** More tokens than kernels of few rows take. */
const LONG =
  `${SHORT} girl named Lily. She loved to play outside in the sunshine. One day, she saw a big red ball in the ` +
  'garden and wanted to play with it. She asked her mom if she could';

test("the embedded model's greedy text is that of WASM", async (context) => {
  await skipUnavailable(dawn(), REQUIRED, context);
  const text = async (backend: Backend, name: 'wasm' | 'webgpu') => {
    const how = ON_LAVAPIPE && name === 'webgpu' ? DEFAULTS : { numerics: 'exact' as const };
    const engine = await loadEngine(TINY, { backend: name, ...how }, { backends: [backend] });
    const options = { maxTokens: TOKENS, ignoreEos: true, repetitionPenalty: 1 };
    const { tokens, usage } = await generate(engine, null, ON_LAVAPIPE ? LONG : SHORT, options);
    if (how === DEFAULTS) expect(engine.info.variant).toContain('f16');
    if (ON_LAVAPIPE) expect(usage.promptTokens).toBeGreaterThan(40);
    await engine.dispose();
    return ids(tokens);
  };
  const found = await text(dawn(), 'webgpu');
  expect(found).toEqual(await text(variant('simd'), 'wasm'));
  expect(found.length).toBe(TOKENS);
});
