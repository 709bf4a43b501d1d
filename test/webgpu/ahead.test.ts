import { expect, test, vi } from 'vitest';
import type { Output, OutputResult } from '../../src/backends/types.ts';
import { GREEDY } from '../../src/ops/sample.ts';
import { openFixture } from '../models/golden.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { dawn, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 300_000 }); // software GPUs compile slowly

const PROMPTS = [
  [5, 9, 200],
  [77, 3, 31],
];
const COUNT = 8;

test('an output that samples one of its ends goes no further, and its slot stays as it is', async (context) => {
  await skipUnavailable(dawn(), REQUIRED, context);
  const { executor } = await openFixture(dawn(), 'nano', { slots: 2, chunk: 8 });
  const segments = (position: number, rows: number) => PROMPTS.map((_, slot) => ({ slot, position, rows }));
  /** From the prompts on: results of each step, and the states of both slots. */
  async function ahead(count: number, ends: readonly (readonly number[])[]) {
    for (const slot of [0, 1]) await executor.resetSlot(slot);
    await executor.step({ ids: Int32Array.from(PROMPTS.flat()), segments: segments(0, 3), outputs: [] });
    const outputs = PROMPTS.map((_, row): Output => {
      return { row, sample: { ...GREEDY, position: 4 }, ends: ends[row]! };
    });
    const steps = await executor.stepAhead!(
      { ids: Int32Array.from([1, 2]), segments: segments(3, 1), outputs },
      count,
    );
    return { steps, state: (slot: number, position: number) => executor.readSlot(slot, position) };
  }
  const sampled = (steps: (OutputResult | null)[][], row: number) =>
    steps.map((results) => results[row]?.sampled?.id ?? null);

  const free = await ahead(COUNT, [[], []]);
  const [a, b] = [sampled(free.steps, 0), sampled(free.steps, 1)];
  const untouched = await free.state(1, 3 + COUNT);
  const stop = a[2]!;
  const steps = a.indexOf(stop) + 1; // until it is sampled
  expect(steps).toBeLessThan(COUNT);
  const exact = await (await ahead(steps, [[], []])).state(0, 3 + steps);

  const others = Array.from({ length: 7 }, (_, i) => (i + 1) * 31).filter((id) => !a.includes(id));
  const ended = await ahead(COUNT, [[...others, stop], []]);
  expect(sampled(ended.steps, 0)).toEqual(a.map((id, i) => (i < steps ? id : null)));
  expect(sampled(ended.steps, 1)).toEqual(b);
  expect(await ended.state(0, 3 + steps)).toEqual(exact);
  expect(await ended.state(1, 3 + COUNT)).toEqual(untouched);
  for (const [name, values] of Object.entries(untouched))
    expect(await executor.readSlot(1, 3 + COUNT, [name])).toEqual({ [name]: values });
  await executor.dispose();
});
