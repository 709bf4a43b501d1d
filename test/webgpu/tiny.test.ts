import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import type { Backend } from '../../src/backends/types.ts';
import { loadEngine } from '../../src/engine/load.ts';
import { generate, ids } from '../engine/drive.ts';
import { FULL } from '../helpers/full.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { variant } from '../wasm/host.ts';
import { dawn, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 600_000 }); // software GPUs are slow

const TINY = fileURLToPath(new URL('../../models/tiny', import.meta.url));
const TOKENS = FULL ? 200 : 8;

test("the embedded model's greedy text is that of WASM", async (context) => {
  await skipUnavailable(dawn(), REQUIRED, context);
  const text = async (backend: Backend, name: 'wasm' | 'webgpu') => {
    const engine = await loadEngine(TINY, { backend: name, numerics: 'exact' }, { backends: [backend] });
    const options = { maxTokens: TOKENS, ignoreEos: true };
    const { tokens } = await generate(engine, null, 'Once upon a time, there was a little', options);
    await engine.dispose();
    return ids(tokens);
  };
  const found = await text(dawn(), 'webgpu');
  expect(found).toEqual(await text(variant('simd'), 'wasm'));
  expect(found.length).toBe(TOKENS);
});
