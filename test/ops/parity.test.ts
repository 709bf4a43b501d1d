import { describe, expect, test } from 'vitest';
import type { OpName } from '../../src/ops/index.ts';
import { checkProgram } from '../../src/ops/program.ts';
import { cases } from './cases.ts';
import { referenceResults } from './run_case.ts';

describe('parity cases', () => {
  for (const [op, list] of Object.entries(cases) as [OpName, (typeof cases)[OpName]][])
    test(`${op}: well formed, named once, of that op`, () => {
      expect(new Set(list.map((testCase) => testCase.name)).size).toBe(list.length);
      for (const { program } of list) {
        checkProgram(program);
        expect(program.calls.at(-1)!.op).toBe(op);
      }
    });

  for (const testCase of cases.sample.filter((candidate) => candidate.expected))
    test(`sample, as told by hand: ${testCase.name}`, async () => {
      const results = await referenceResults('sample', testCase);
      expect(results.map((result) => result.sampled!.id)).toEqual(testCase.expected);
    });
});
