import { fileURLToPath } from 'node:url';
import { describe, expect, test, vi } from 'vitest';
import { type WebgpuHost, webgpuBackend } from '../../src/backends/webgpu/index.ts';
import { loadEngine } from '../../src/engine/load.ts';
import { generate, rejects } from '../engine/drive.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { variant } from '../wasm/host.ts';
import { dawn, dawnHost, REQUIRED } from './host.ts';
import { changedAdapter, changedDevice, readZeros } from './null_device.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // software GPUs compile slowly

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));

const load = (host: WebgpuHost, backend: 'auto' | 'webgpu') =>
  loadEngine(
    NANO,
    { backend, quantize: 'none', numerics: 'exact', threads: 1 },
    { backends: [webgpuBackend(host), variant('simd')] },
  );

describe('where WebGPU does not work', () => {
  const absent: [string, WebgpuHost['gpu'], RegExp][] = [
    ['no WebGPU', async () => 'this runtime has no WebGPU', /this runtime has no WebGPU/],
    ['no adapter', async () => ({ requestAdapter: async () => null }) as unknown as GPU, /no GPU adapter/],
    [
      'an adapter that fails',
      async () => ({ requestAdapter: () => Promise.reject(new Error('blocklisted')) }) as unknown as GPU,
      /no adapter: blocklisted/,
    ],
  ];
  test.for(absent)('%s: auto takes WASM and says why', async ([, gpu, reason]) => {
    const engine = await load({ gpu, device: 'test' }, 'auto');
    expect(engine.info).toMatchObject({ backend: 'wasm', why: expect.stringMatching(reason) });
    await engine.dispose();
    await rejects(load({ gpu, device: 'test' }, 'webgpu'), 'UNSUPPORTED_BACKEND', reason);
  });

  test('auto leaves a software adapter alone', async (context) => {
    await skipUnavailable(dawn(), REQUIRED, context);
    const engine = await load(dawnHost(), 'auto');
    expect(engine.info).toMatchObject({ backend: 'wasm', why: expect.stringMatching(/adapter is software/) });
    await engine.dispose();
  });

  test('auto loads no driver on a machine without a GPU', async (context) => {
    await skipUnavailable(dawn(), REQUIRED, context);
    const withoutHardware = async () => 'this machine has no GPU';
    const host: WebgpuHost = { ...dawnHost(['backend=null']), withoutHardware };
    const gpu = vi.spyOn(host, 'gpu');
    const engine = await load(host, 'auto');
    expect(engine.info).toMatchObject({
      backend: 'wasm',
      why: expect.stringMatching(/webgpu: this machine has/),
    });
    expect(gpu).not.toHaveBeenCalled();
    await engine.dispose();
    const asked = await load(host, 'webgpu');
    expect(asked.info.backend).toBe('webgpu');
    await asked.dispose();
  });

  test('an adapter that gives no device', async (context) => {
    await skipUnavailable(dawn(), REQUIRED, context);
    const host = changedAdapter(dawnHost(), (adapter) => {
      adapter.requestDevice = () => Promise.reject(new Error('no more devices'));
    });
    await rejects(load(host, 'webgpu'), 'UNSUPPORTED_BACKEND', /gave no device \(no more devices\)/);
  });

  test('a kernel that is refused', async (context) => {
    await skipUnavailable(dawn(), REQUIRED, context);
    const host = changedDevice(dawnHost(['backend=null']), (device) => {
      device.createComputePipelineAsync = () => Promise.reject(new Error('internal compiler error'));
    });
    await rejects(load(host, 'webgpu'), 'INTERNAL', /refused the kernel '\w+': internal compiler error/);
  });

  test('a device that is lost midway: what runs and what follows is rejected', {
    timeout: 120_000,
  }, async (context) => {
    await skipUnavailable(dawn(), REQUIRED, context);
    const devices: GPUDevice[] = [];
    const host = changedDevice(dawnHost(['backend=null']), (device) => {
      devices.push(device);
      readZeros(device);
    });
    const engine = await load(host, 'webgpu');
    const running = generate(engine, null, [1, 2, 3], { maxTokens: 1000, ignoreEos: true });
    setTimeout(() => devices[0]!.destroy(), 20);
    await rejects(running, 'DEVICE_LOST', /GPU device was lost.*recover\(\) brings/);
    await rejects(generate(engine, null, [1, 2, 3], { maxTokens: 4 }), 'DEVICE_LOST');
    await engine.dispose();
  });
});
