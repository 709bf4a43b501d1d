import { expect, test } from 'vitest';
import { rankBackends } from '../../src/backends/select.ts';

const candidates = (unavailable: Record<string, string | null>) =>
  (['wasm', 'webgpu', 'metal', 'reference'] as const)
    .filter((name) => name in unavailable)
    .map((name) => ({ name, unavailable: unavailable[name]! }));

test('metal, webgpu, wasm, in this order; the reference only when it is asked for', () => {
  const all = candidates({ metal: null, webgpu: null, wasm: null, reference: null });
  expect(rankBackends('auto', all)).toEqual({ ranked: ['metal', 'webgpu', 'wasm'], rejected: [] });
  expect(rankBackends('wasm', all)).toEqual({ ranked: ['wasm'], rejected: [] });
  expect(rankBackends('reference', all).ranked).toEqual(['reference']);
});

test('every reason is kept', () => {
  expect(rankBackends('auto', candidates({ webgpu: 'no adapter', wasm: null }))).toEqual({
    ranked: ['wasm'],
    rejected: [
      { name: 'metal', reason: 'it is not part of this build' },
      { name: 'webgpu', reason: 'no adapter' },
    ],
  });
});

test('none at all', () => {
  const none = candidates({ webgpu: 'no adapter', wasm: 'no WebAssembly' });
  expect(() => rankBackends('auto', none)).toThrowError(
    /No backend can run here: metal: it is not part of this build; webgpu: no adapter; wasm: no WebAssembly/,
  );
  expect(() => rankBackends('webgpu', candidates({ webgpu: 'no adapter', wasm: null }))).toThrowError(
    expect.objectContaining({
      code: 'UNSUPPORTED_BACKEND',
      message: "The backend 'webgpu' can't run here: webgpu: no adapter; here there is wasm",
    }),
  );
});
