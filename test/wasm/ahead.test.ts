import { expect, test } from 'vitest';
import type { Output, OutputResult, Step } from '../../src/backends/types.ts';
import { GREEDY, MAX_RECENT, type SampleParams } from '../../src/ops/sample.ts';
import { openFixture } from '../models/golden.ts';
import { variant } from './host.ts';

const PROMPTS = [
  [5, 9, 200],
  [77, 3, 31],
];
const COUNT = 90; // beyond what penalties look back at
const DRAWN: Partial<SampleParams> = { temperature: 1.5, seedLo: 3, repetitionPenalty: 1.3, top: 2 };

/** Two sequences that have consumed all of their prompts but the last id, and what comes next of each. */
async function twoSequences(wants: Partial<SampleParams> = {}, more: readonly Partial<Output>[] = []) {
  const { executor } = await openFixture(variant('simd'), 'nano', { slots: 2, chunk: 8 });
  const segments = (position: number, rows: number) => PROMPTS.map((_, slot) => ({ slot, position, rows }));
  const ids = Int32Array.from(PROMPTS.flatMap((prompt) => prompt.slice(0, 2)));
  await executor.step({ ids, segments: segments(0, 2), outputs: [] });
  /** The step that consumes the last id of each of `known`. */
  const next = (known: readonly (readonly number[])[]): Step => ({
    ids: Int32Array.from(known, (all) => all.at(-1)!),
    segments: segments(known[0]!.length - 1, 1),
    outputs: known.map((all, row) => {
      const recent = Int32Array.from(all.slice(-MAX_RECENT));
      return { row, sample: { ...GREEDY, ...wants, recent, position: all.length }, ...more[row] };
    }),
  });
  const states = () => Promise.all([0, 1].map((slot) => executor.readSlot(slot, 2)));
  return { executor, next, states };
}

const sampled = (steps: (OutputResult | null)[][], row: number) => steps.map((step) => step[row]!.sampled!);

test('steps ahead are those of a host that asks for each', async () => {
  const { executor, next, states } = await twoSequences(DRAWN);
  const known = PROMPTS.map((prompt) => prompt.slice());
  const one: OutputResult[][] = [];
  for (let i = 0; i < COUNT; i++) {
    one.push(await executor.step(next(known)));
    for (const [row, all] of known.entries()) all.push(one[i]![row]!.sampled!.id);
  }
  const after = await states();
  await executor.dispose();

  const other = await twoSequences(DRAWN);
  expect(await other.executor.stepAhead!(other.next(PROMPTS), COUNT)).toEqual(one);
  expect(await other.states()).toEqual(after);
  await other.executor.dispose();
});

test('they stop where an output ends: its slot has consumed no more', async () => {
  const free = await twoSequences();
  const ids = sampled(await free.executor.stepAhead!(free.next(PROMPTS), 8), 1).map(({ id }) => id);
  const steps = ids.indexOf(ids[2]!) + 1;
  await free.executor.dispose();
  const exact = await twoSequences();
  await exact.executor.stepAhead!(exact.next(PROMPTS), steps);

  const ended = await twoSequences({}, [{}, { ends: [ids[2]!] }]);
  const found = await ended.executor.stepAhead!(ended.next(PROMPTS), 8);
  expect(sampled(found, 1).map(({ id }) => id)).toEqual(ids.slice(0, steps));
  expect(await ended.states()).toEqual(await exact.states());
  for (const { executor } of [exact, ended]) await executor.dispose();
});

test('one step, and no more, when the time is up or a text may end it', async () => {
  const { executor, next } = await twoSequences();
  expect(await executor.stepAhead!(next(PROMPTS), 8, performance.now())).toHaveLength(1);
  await executor.dispose();
  const watched = await twoSequences({}, [{}, { watched: true }]);
  expect(await watched.executor.stepAhead!(watched.next(PROMPTS), 8)).toHaveLength(1);
  await watched.executor.dispose();
});
