import { expect, test, vi } from 'vitest';
import type { Step } from '../../src/backends/types.ts';
import { quant } from '../helpers/tensors.ts';
import { openFixture } from '../models/golden.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { GREEDY } from '../ops/sample_cases.ts';
import { boundsChecked, withChecks } from './bounds.ts';
import { dawnHost, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 300_000 }); // software GPUs compile slowly

test('every index into a binding or workgroup memory is compared with the length', () => {
  const sites: string[] = [];
  const code = withChecks(
    `enable subgroups;
const N = 4u;
struct Batch {
  rows: u32,
  row: array<u32, N>,
}
@group(0) @binding(0) var<storage, read> batch: Batch;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>, 2u * N>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
var<workgroup> tile: array<f32, N * (N + 1u)>;
fn f(i: u32, w: array<f32, 3>) { y[batch.row[i]][i % 4u] = x[i] + tile[i] + w[i]; }`,
    sites,
  );
  expect(code).toMatch(/^enable subgroups;\n@group\(1\)/);
  expect(code).toContain(
    'y[inside(batch.row[inside(i, N, 4u)], 2u * N, 1u)][i % 4u] = x[inside(i, arrayLength(&x), 2u)] + tile[inside(i, N * (N + 1u), 3u)] + w[i];',
  );
  expect(sites).toEqual([
    'y[batch.row[i]] of 2u * N',
    'x[i] of arrayLength(&x)',
    'tile[i] of N * (N + 1u)',
    '.row[i] of N',
  ]);
});

const step = (ids: number[], slots: number, position: number): Step => {
  const rows = ids.length / slots;
  return {
    ids: Int32Array.from(ids),
    segments: Array.from({ length: slots }, (_, slot) => ({ slot, position, rows })),
    outputs: Array.from({ length: slots }, (_, slot) => ({
      row: (slot + 1) * rows - 1,
      sample: { ...GREEDY, position },
    })),
  };
};

test('a model that prefills and decodes stays inside', async (context) => {
  const { backend, outside } = boundsChecked(dawnHost());
  await skipUnavailable(backend, REQUIRED, context);
  const { executor } = await openFixture(backend, 'nano', { chunk: 6, slots: 2, format: quant(4, 32) });
  await executor.step(step([1, 2, 3, 4, 5, 6], 2, 0));
  await executor.step(step([1, 2], 2, 3));
  await executor.stepAhead!(step([7], 1, 4), 6);
  await executor.dispose();
  expect([...outside]).toEqual([]);
});

test('what is outside is told', async (context) => {
  const { backend, outside } = boundsChecked(dawnHost());
  await skipUnavailable(backend, REQUIRED, context);
  const { executor } = await openFixture(backend, 'nano', { chunk: 4 });
  await executor.step(step([7], 1, 0));
  // The state of a slot that is not there, told to the kernels behind the executor's back.
  const { steps } = executor as unknown as { steps: { words: Uint32Array } };
  const { set } = steps.words;
  steps.words.set = (values, at) =>
    set.call(
      steps.words,
      (values as number[]).map((word, i) => (i === 1 ? 99 : word)),
      at,
    );
  await executor.step(step([7], 1, 0));
  await executor.dispose();
  expect([...outside].join()).toMatch(/^(ring|state)\[/);
});
