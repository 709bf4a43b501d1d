import { describe, expect, test } from 'vitest';
import type { Output, OutputResult, Segment } from '../../src/backends/types.ts';
import type { Simd } from '../../src/backends/wasm/index.ts';
import { FULL } from '../helpers/full.ts';
import { formatName, quant } from '../helpers/tensors.ts';
import { type FixtureModel, openFixture } from '../models/golden.ts';
import { bits, bitsOf, idsOf, LENGTH, type Mode, modesOf, samples, stateBits } from './bits.ts';
import { SIMDS, variant } from './host.ts';

const CUTS = [1, 2, 3, 7, 64, [5, 1, 13]] as const;
const FEW_CUTS = [64, 3] as const;
const SLOTS = 3;

const open = (name: string, simd: Simd, threads: number, mode: Mode, sum16 = true) =>
  openFixture(variant(simd, { sum16 }), name, { ...mode, threads, slots: SLOTS, chunk: 64 });

/** Every variant, with sums of 16 bits as well where it has them. */
const KERNELS = [...SIMDS.map((simd) => ({ simd, sum16: false })), { simd: 'relaxed', sum16: true }] as const;

for (const name of ['nano', 'rene-a', 'mamba2-a'])
  describe(`bits of ${name}`, () => {
    for (const mode of modesOf(name))
      test(`${formatName(mode.format)}, ${mode.numerics}: every chunking, thread count and variant`, async () => {
        let expected: Awaited<ReturnType<typeof bitsOf>> | null = null;
        for (const { simd, sum16 } of KERNELS)
          for (const threads of simd === 'simd' ? [1, 2, 3] : [1, 2]) {
            const model = await open(name, simd, threads, mode, sum16);
            try {
              expect(model.executor.info.threads).toBe(threads);
              for (const cut of simd === 'simd' && (FULL ? threads < 3 : threads === 1 && name === 'nano')
                ? CUTS
                : FEW_CUTS) {
                const found = await bitsOf(model, cut);
                expected ??= found;
                expect(found, `${simd}${sum16 ? ', sum16' : ''}, ${threads} threads, rows ${cut}`).toEqual(
                  expected,
                );
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
