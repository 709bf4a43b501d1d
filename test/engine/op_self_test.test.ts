import { expect, test } from 'vitest';
import { reference } from '../../src/backends/reference/index.ts';
import type { Backend } from '../../src/backends/types.ts';
import {
  knownFormats,
  knownLogits,
  knownProgram,
  runOpSelfTest,
} from '../../src/engine/selftest/op_self_test.ts';
import { KNOWN_LOGITS } from '../../src/engine/selftest/op_self_test_logits.ts';
import { ops } from '../../src/ops/index.ts';
import { checkProgram } from '../../src/ops/program.ts';

const create = () =>
  reference.create(knownProgram, knownFormats, { slots: 2, numerics: 'exact', threads: 1 });

test('the stored logits are what the reference says (else: node scripts/op-self-test-logits.mjs)', async () => {
  const { logits } = await knownLogits(await create());
  expect(KNOWN_LOGITS).toHaveLength(logits.length);
  for (const [i, known] of KNOWN_LOGITS.entries())
    expect(Math.abs(logits[i]! - known)).toBeLessThan(2e-6 * (1 + Math.abs(known)));
});

test('the model is in order and has every op', () => {
  checkProgram(knownProgram);
  expect(new Set(knownProgram.calls.map(({ op }) => op))).toEqual(new Set(Object.keys(ops)));
});

test('the reference passes, a backend with one wrong op does not', async () => {
  expect(await runOpSelfTest(reference, 'exact')).toMatchObject({ ok: true });
  for (const index of knownProgram.calls.keys()) {
    if (['embed', 'logits', 'sample'].includes(knownProgram.calls[index]!.op)) continue;
    const lacking: Backend = {
      ...reference,
      create: (program, formats, options) =>
        reference.create(
          { ...program, calls: program.calls.filter((_, i) => i !== index) },
          formats,
          options,
        ),
    };
    const { ok } = await runOpSelfTest(lacking, 'exact');
    expect(ok, knownProgram.calls[index]!.op).toBe(false);
  }
});

test('a backend that picks another token does not pass', async () => {
  const picking: Backend = {
    ...reference,
    async create(...args) {
      const executor = await reference.create(...args);
      const step = executor.step.bind(executor);
      executor.step = async (what) =>
        (await step(what)).map((result) => ({
          ...result,
          sampled: { ...result.sampled!, id: (result.sampled!.id + 1) % 32 },
        }));
      return executor;
    },
  };
  const { ok, detail } = await runOpSelfTest(picking, 'exact');
  expect(ok).toBe(false);
  expect(detail).toMatch(/not the best/);
});
