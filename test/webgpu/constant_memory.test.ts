import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { webgpuBackend } from '../../src/backends/webgpu/index.ts';
import { loadEngine } from '../../src/engine/load.ts';
import { converse } from '../engine/drive.ts';
import { FULL } from '../helpers/full.ts';
import { held } from '../helpers/heap.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { dawn, dawnHost, REQUIRED } from './host.ts';
import { changedDevice, readZeros } from './null_device.ts';

vi.setConfig({ testTimeout: 300_000 });

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const GENERATIONS = FULL ? 10_000 : 1000;

/** What takes memory of a GPU, or of its driver, until it is collected. */
const MAKERS = [
  'createBuffer',
  'createBindGroup',
  'createBindGroupLayout',
  'createPipelineLayout',
  'createShaderModule',
  'createComputePipeline',
  'createComputePipelineAsync',
  'createQuerySet',
  'createTexture',
] as const;

test('after it was loaded a model makes nothing on the device, and host memory stays where it was', async (context) => {
  await skipUnavailable(dawn(), REQUIRED, context);
  let made = 0;
  const host = changedDevice(dawnHost(['backend=null']), (device) => {
    readZeros(device);
    for (const maker of MAKERS) {
      const make = (device[maker] as (...args: unknown[]) => unknown).bind(device);
      Object.assign(device, {
        [maker]: (...args: unknown[]) => {
          made += 1;
          return make(...args);
        },
      });
    }
  });
  const backends = [webgpuBackend(host)];
  const engine = await loadEngine(
    NANO,
    { backend: 'webgpu', quantize: 'none', maxSessions: 3 },
    { backends },
  );
  const atLoad = made;
  expect(atLoad).toBeGreaterThan(10);
  const talk = (count: number) => converse(engine, count);
  await talk(100);
  const before = await held();
  await talk(GENERATIONS);
  expect(made).toBe(atLoad);
  expect(engine.stats()).toMatchObject({ sessions: 0, checkpoints: { bytes: 0 } });
  expect((await held()) - before).toBeLessThan(2 ** 20);
  await engine.dispose();
});
