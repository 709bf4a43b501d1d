import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import { relativeError } from '../helpers/compare.ts';
import { FIXTURES } from '../helpers/fixtures.ts';
import { logitsOf, openFixture, runGolden } from './golden.ts';

runGolden(reference);

describe('prefill on the reference', () => {
  for (const name of FIXTURES)
    test(`${name}: any chunking gives what single steps give`, async () => {
      const model = await openFixture(reference, name, { chunk: 48 });
      const ids = Array.from({ length: 130 }, (_, i) => (i * 37 + 11) % model.program.vocabSize);
      const single = await logitsOf(model, ids, ids.length, { cut: 1 });
      for (const cut of [48, 7, [1, 30, 2, 48]])
        expect(relativeError(await logitsOf(model, ids, ids.length, { cut }), single)).toBeLessThanOrEqual(
          1e-9,
        );
    });

  test('slots side by side in one step give what each gives alone', async () => {
    const model = await openFixture(reference, 'rene-a', { slots: 3 });
    const a = [5, 9, 200, 31, 7, 8];
    const b = [77, 3, 3];
    const alone = [await logitsOf(model, a, 1, { slot: 0 }), await logitsOf(model, b, 1, { slot: 1 })];
    await model.executor.resetSlot(0);
    await model.executor.resetSlot(2);
    await model.executor.step({
      ids: Int32Array.from(a.slice(0, 4)),
      segments: [{ slot: 0, position: 0, rows: 4 }],
      outputs: [],
    });
    const together = await model.executor.step({
      ids: Int32Array.from([...b, ...a.slice(4)]),
      segments: [
        { slot: 2, position: 0, rows: 3 },
        { slot: 0, position: 4, rows: 2 },
      ],
      outputs: [
        { row: 2, logits: true },
        { row: 4, logits: true },
      ],
    });
    expect(together[1]!.logits).toEqual(alone[0]);
    expect(together[0]!.logits).toEqual(alone[1]);
  });
});
