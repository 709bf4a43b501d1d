import { expect, test } from 'vitest';
import { loadEngine } from '../../src/engine/load.ts';
import { open, take } from '../engine/drive.ts';
import { NANO } from '../worker/models.ts';
import { variant } from './host.ts';

test('10,000 tokens take the bytes that 10 take', async () => {
  let memory: WebAssembly.Memory | undefined;
  const backend = variant('simd', {
    wrap: (parts) => {
      memory = parts.memory;
      return parts;
    },
  });
  const engine = await loadEngine(NANO, { threads: 1, numerics: 'i16' }, { backends: [backend] });
  const session = await open(engine);
  const sizes = () => {
    const { weightBytes, stateBytes, scratchBytes, totalBytes } = engine.info;
    return { weightBytes, stateBytes, scratchBytes, totalBytes, memory: memory!.buffer.byteLength };
  };
  const sampling = { temperature: 1, seed: 1, ignoreEos: true, maxTokens: 20_000 };
  await take(engine, session, 'Once upon a time', 10, sampling);
  const after10 = sizes();
  expect(after10.memory).toBe(after10.totalBytes);
  for (let tokens = 10; tokens < 10_000; tokens += 999) await take(engine, session, '', 999, sampling);
  expect(await engine.position(session)).toBeGreaterThan(10_000);
  expect(sizes()).toEqual(after10);
  await engine.dispose();
});
