import { describe, expect, test } from 'vitest';
import type { Output, OutputResult, Segment } from '../../src/backends/types.ts';
import type { Simd } from '../../src/backends/wasm/index.ts';
import type { Numerics, WeightFormat } from '../../src/types.ts';
import { F16, F32, formatName, quant } from '../helpers/tensors.ts';
import { type FixtureModel, logitsOf, openFixture } from '../models/golden.ts';
import { GREEDY } from '../ops/sample_cases.ts';
import { SIMDS, variant } from './host.ts';

const CUTS = [1, 2, 3, 7, 64, [5, 1, 13]] as const;
const LENGTH = 70;
const SLOTS = 3;

interface Mode {
  format: WeightFormat;
  numerics: Numerics;
}
const MODES: Mode[] = [
  { format: F32, numerics: 'exact' },
  { format: F16, numerics: 'exact' },
  ...(['exact', 'i16', 'i8'] as const).flatMap((numerics) => [
    { format: quant(4, 32), numerics },
    { format: quant(8, 64, true), numerics },
  ]),
];

const open = (name: string, simd: Simd, threads: number, mode: Mode) =>
  openFixture(variant(simd), name, { ...mode, threads, slots: SLOTS, chunk: 64 });

/** Ids that visit the vocabulary. */
const idsOf = ({ program }: FixtureModel, length = LENGTH, seed = 1) =>
  Array.from({ length }, (_, i) => (Math.imul(i + seed, 2654435761) >>> 8) % program.vocabSize);

/** The last logits and the state after a prompt, as bits. */
async function bitsOf(model: FixtureModel, cut: number | readonly number[], slot = 0) {
  const logits = await logitsOf(model, idsOf(model), 3, { cut, slot });
  return { logits: bits(logits), state: await stateBits(model, slot, LENGTH) };
}

async function stateBits({ executor }: FixtureModel, slot: number, position: number) {
  const state = await executor.readSlot(slot, position);
  return Object.fromEntries(Object.entries(state).map(([name, values]) => [name, bits(values)]));
}

const bits = (values: Float32Array) => hash(new Uint32Array(values.buffer, values.byteOffset, values.length));

/** FNV-1a over words: one number says whether thousands are the same. */
function hash(words: Uint32Array): number {
  let h = 0x811c9dc5;
  for (const word of words) h = Math.imul(h ^ word, 0x01000193) ^ (word >>> 16);
  return h >>> 0;
}

for (const name of ['nano', 'rene-a', 'mamba2-a'])
  describe(`bits of ${name}`, () => {
    for (const mode of MODES)
      test(`${formatName(mode.format)}, ${mode.numerics}: every chunking, thread count and variant`, async () => {
        let expected: Awaited<ReturnType<typeof bitsOf>> | null = null;
        for (const simd of SIMDS)
          for (const threads of simd === 'simd' ? [1, 2, 3] : [1, 2]) {
            const model = await open(name, simd, threads, mode);
            try {
              expect(model.executor.info.threads).toBe(threads);
              for (const cut of simd === 'simd' && threads < 3 ? CUTS : [64, 3]) {
                const found = await bitsOf(model, cut);
                expected ??= found;
                expect(found, `${simd}, ${threads} threads, rows ${cut}`).toEqual(expected);
              }
            } finally {
              await model.executor.dispose();
            }
          }
      });

    test('rows of other slots beside', async () => {
      const mode = { format: quant(4, 32), numerics: 'i8' as const };
      const model = await open(name, 'simd', 2, mode);
      try {
        const expected = await bitsOf(model, 64);
        expect(await batched(model)).toEqual(expected);
        expect(await bitsOf(model, 7, 2)).toEqual(expected);
      } finally {
        await model.executor.dispose();
      }
    });

    test('sampling', async () => {
      const mode = { format: quant(8, 64), numerics: 'exact' as const };
      const expected: OutputResult[][] = [];
      for (const simd of SIMDS) {
        const model = await open(name, simd, 2, mode);
        try {
          expected.push(await samples(model));
        } finally {
          await model.executor.dispose();
        }
      }
      for (const found of expected) expect(found).toEqual(expected[0]);
    });
  });

/** The prompt in slot 0, a few rows a step, among rows of two other slots. */
async function batched(model: FixtureModel) {
  const { executor, program } = model;
  const ids = idsOf(model);
  const others = [idsOf(model, 400, 77), idsOf(model, 400, 99)];
  for (let slot = 0; slot < SLOTS; slot++) await executor.resetSlot(slot);
  const positions = [0, 0, 0];
  const last: Float32Array[] = [];
  for (let step = 0; positions[0]! < LENGTH; step++) {
    const counts = [1 + (step % 5), 1 + ((step * 3) % 11), step % 4].map((n, slot) =>
      slot === 0 ? Math.min(n, LENGTH - positions[0]!) : n,
    );
    const order = step % 2 ? [2, 0, 1] : [1, 0, 2];
    const segments: Segment[] = [];
    const rowIds: number[] = [];
    const outputs: Output[] = [];
    for (const slot of order) {
      const [n, position] = [counts[slot]!, positions[slot]!];
      if (n === 0) continue;
      segments.push({ slot, position, rows: n });
      for (let i = 0; i < n; i++) {
        if (slot === 0 && position + i >= LENGTH - 3) outputs.push({ row: rowIds.length, logits: true });
        rowIds.push((slot === 0 ? ids : others[slot - 1]!)[position + i]!);
      }
      positions[slot] = position + n;
    }
    const results = await executor.step({ ids: Int32Array.from(rowIds), segments, outputs });
    for (const { logits } of results) last.push(logits!);
  }
  const logits = new Float32Array(3 * program.vocabSize);
  for (const [i, row] of last.entries()) logits.set(row, i * program.vocabSize);
  return { logits: bits(logits), state: await stateBits(model, 0, LENGTH) };
}

/** Every way of sampling, on every row of a step. */
async function samples(model: FixtureModel): Promise<OutputResult[]> {
  const ids = Int32Array.from(idsOf(model, 24));
  const ways = [
    {},
    { temperature: 0.8 },
    { temperature: 1.2, topK: 17 },
    { temperature: 0.9, topP: 0.8 },
    { temperature: 1, minP: 0.1, recent: ids, repetitionPenalty: 1.3 },
    { temperature: 1.5, topK: 50, topP: 0.9, minP: 0.01 },
  ];
  const outputs = Array.from(ids, (id, row) => ({
    row,
    target: id,
    sample: { ...GREEDY, ...ways[row % ways.length], seedLo: row, position: row, top: 4 },
  }));
  await model.executor.resetSlot(0);
  return model.executor.step({ ids, segments: [{ slot: 0, position: 0, rows: ids.length }], outputs });
}
