import { describe, expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { Backend } from '../../src/backends/types.ts';
import { runFormatSelfTest } from '../../src/engine/selftest/format_self_test.ts';
import type { Tensor, WeightFormat } from '../../src/types.ts';
import { F16, F32, quant } from '../helpers/tensors.ts';
import { variant } from '../wasm/host.ts';

const FORMATS = [F32, F16, quant(4, 32), quant(8, 64), quant(4, 128, true), quant(4, 64, true, 'f32')];

/** The reference, with one tensor changed on its way. */
function changing(change: (tensor: Tensor) => Tensor): Backend {
  return {
    ...reference,
    async create(...args) {
      const executor = await reference.create(...args);
      const sinkOf = executor.sink.bind(executor);
      executor.sink = (name) => ({ put: (row, tensor) => sinkOf(name).put(row, change(tensor)) });
      return executor;
    },
  };
}

/** Offsets that a kernel leaves out. */
const withoutOffsets = changing((tensor) =>
  'q' in tensor && tensor.bias ? { ...tensor, bias: tensor.bias.map(() => 0) } : tensor,
);

describe('the formats of a loaded model', () => {
  test('the reference and WASM pass, in every numerics mode', async () => {
    expect(await runFormatSelfTest(reference, 'exact', FORMATS)).toMatchObject({ ok: true });
    for (const numerics of ['exact', 'i16', 'i8'] as const)
      expect(await runFormatSelfTest(variant('simd'), numerics, FORMATS)).toMatchObject({ ok: true });
  });

  test('a backend that gets one format wrong does not', async () => {
    const wrong: WeightFormat = quant(4, 128, true);
    const { ok, detail } = await runFormatSelfTest(withoutOffsets, 'exact', [quant(4, 32), wrong]);
    expect(ok).toBe(false);
    expect(detail).toMatch(/q4 in groups of 32, f16 scales \d\S*e-\d/);
    expect(detail).toMatch(/q4 in groups of 128, f16 scales and offsets \d/);
    expect(await runFormatSelfTest(withoutOffsets, 'exact', [quant(4, 32)])).toMatchObject({ ok: true });
  });
});
