import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { webgpuBackend } from '../../src/backends/webgpu/index.ts';
import { loadEngine } from '../../src/engine/load.ts';
import { generate, handle, open } from '../engine/drive.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { dawn, dawnHost, REQUIRED } from './host.ts';
import { changedDevice, readZeros } from './null_device.ts';

vi.setConfig({ testTimeout: 120_000 });

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));

test('how often a prompt goes to the GPU, and what is waited for until its first token', async (context) => {
  await skipUnavailable(dawn(), REQUIRED, context);
  const count = { submits: 0, maps: 0 };
  const host = changedDevice(dawnHost(['backend=null']), (device) => {
    readZeros(device);
    const create = device.createBuffer.bind(device);
    device.createBuffer = (description) => {
      const buffer = create(description);
      const map = buffer.mapAsync.bind(buffer);
      buffer.mapAsync = (...args) => {
        count.maps += 1;
        return map(...args);
      };
      return buffer;
    };
    const { queue } = device;
    const submit = queue.submit.bind(queue);
    queue.submit = (commands) => {
      count.submits += 1;
      return submit(commands);
    };
  });
  const options = { backend: 'webgpu', quantize: 'none', chunk: 64, checkpointEvery: 64 } as const;
  const engine = await loadEngine(NANO, options, { backends: [webgpuBackend(host)] });
  const prompt = (length: number) => Array.from({ length }, (_, i) => i % 50);
  const one = { maxTokens: 1, ignoreEos: true };
  const during = async (run: () => Promise<unknown>) => {
    Object.assign(count, { submits: 0, maps: 0 });
    await run();
    return { ...count };
  };
  // A fresh slot, the steps, and the results.
  expect(await during(() => engine.logits(prompt(32), 1, handle()))).toEqual({ submits: 3, maps: 1 });
  expect(await during(() => generate(engine, null, prompt(32), one))).toEqual({ submits: 3, maps: 1 });
  expect(await during(() => generate(engine, null, prompt(256), one))).toEqual({ submits: 2 + 4, maps: 1 });
  const session = await open(engine);
  expect(await during(() => engine.append(session, prompt(32), handle()))).toEqual({ submits: 1, maps: 0 });
  // What to come back to, the step, and the results.
  expect(await during(() => generate(engine, session, prompt(31), one))).toEqual({ submits: 3, maps: 1 });
  // What to come back to, 16 steps, and three checkpoints.
  const long = await during(() => engine.append(session, prompt(1024), handle()));
  expect(long.maps).toBe(0);
  expect(long.submits).toBeLessThanOrEqual(1 + 16 + 3);
  await engine.dispose();
});
