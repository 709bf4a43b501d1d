import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { Backend } from '../../src/backends/types.ts';
import { describe as describeModel, loadEngine } from '../../src/engine/load.ts';
import type { LoadEngineOptions } from '../../src/engine/types.ts';
import { EdgeError } from '../../src/errors.ts';
import { rejects } from './drive.ts';

const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const exact: LoadEngineOptions = { backend: 'reference', quantize: 'none' };
const load = (options: LoadEngineOptions = exact, backends: readonly Backend[] = [reference]) =>
  loadEngine(NANO, options, { backends });

/** A backend by another name, which can't do something. */
const backend = (name: 'metal' | 'webgpu' | 'wasm', changes: Partial<Backend> = {}): Backend => ({
  ...reference,
  name,
  ...changes,
});

describe('which backend', () => {
  const auto: LoadEngineOptions = { quantize: 'none' };

  test('the first that works, and why not the others', async () => {
    const engine = await load(auto, [
      backend('wasm'),
      backend('metal', { unavailable: async () => 'this is no Mac' }),
      backend('webgpu', {
        async create(...args) {
          const executor = await reference.create(...args);
          const step = executor.step.bind(executor);
          executor.step = async (what) => {
            const results = await step(what);
            for (const { logits } of results) if (logits) logits[3] = logits[3]! + 1;
            return results;
          };
          return executor;
        },
      }),
    ]);
    expect(engine.info.backend).toBe('wasm');
    expect(engine.info.why).toMatch(
      /not metal: this is no Mac; webgpu: its self-test failed: relative error/,
    );
    await engine.dispose();
  });

  test('one that has no room makes way for the next', async () => {
    const full = backend('webgpu', {
      create: async (program, formats, options) => {
        if (program.vocabSize === 1024) throw new EdgeError('OUT_OF_MEMORY', 'too small a device');
        return reference.create(program, formats, options);
      },
    });
    const engine = await load(auto, [full, backend('wasm')]);
    expect(engine.info).toMatchObject({
      backend: 'wasm',
      why: expect.stringMatching(/webgpu: too small a device/),
    });
    await engine.dispose();
    await rejects(load(auto, [full]), 'OUT_OF_MEMORY', /too small/);
    await rejects(load({ ...exact, memoryBudget: 1000 }), 'OUT_OF_MEMORY', /budget/);
  });

  test('one that is asked for and not there', async () => {
    await rejects(
      load({ backend: 'metal' }, [backend('wasm')]),
      'UNSUPPORTED_BACKEND',
      /'metal'.*not part of this build; here there is wasm/,
    );
    const none = backend('webgpu', { unavailable: async () => 'no adapter' });
    await rejects(load({ backend: 'webgpu' }, [none]), 'UNSUPPORTED_BACKEND', /no adapter/);
    await rejects(load({}, [none]), 'UNSUPPORTED_BACKEND', /webgpu: no adapter; wasm: it is not part/);
  });
});

describe('before anything is loaded', () => {
  test('the memory contract is the one that load keeps', async () => {
    const options: LoadEngineOptions = { ...exact, numerics: 'exact' }; // the only ones that the reference has
    const engine = await load(options);
    const description = await describeModel(NANO, options, {
      backends: [{ ...reference, create: () => Promise.reject(new Error('created')) }],
    });
    const { variant, device, threads, fingerprint, why, ...info } = engine.info;
    expect(description).toEqual({ ...info, why: 'asked for' });
    await engine.dispose();
  });
});
