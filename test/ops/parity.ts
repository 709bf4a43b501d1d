import { describe, expect, type TestContext, test } from 'vitest';
import type { Backend } from '../../src/backends/types.ts';
import type { OpName } from '../../src/ops/index.ts';
import type { Numerics, WeightFormat } from '../../src/types.ts';
import { formatName } from '../helpers/tensors.ts';
import type { OpCase } from './build.ts';
import { cases } from './cases.ts';
import { runCase } from './run_case.ts';

export interface ParityOptions {
  label?: string; // of the backend's variant
  threads?: number; // 1
  numerics?: readonly Numerics[]; // all three; float weights are only run with the first
  ops?: readonly OpName[]; // all
  /** Leave cases out, for example large ones on a software GPU. */
  only?: (op: OpName, testCase: OpCase) => boolean;
  /** Leave formats of a case out, likewise. */
  formats?: (format: WeightFormat, index: number, all: readonly WeightFormat[]) => boolean;
  /** Of a case for which a backend has arithmetic of fewer bits than the op's tolerance knows. */
  tolerance?: (op: OpName, testCase: OpCase) => number | undefined;
  /** Fail rather than skip where the backend cannot run. */
  required?: boolean;
}

/** Registers a test for every op and case: outputs and states against the reference, in every weight format. */
export function runParity(backend: Backend, options: ParityOptions = {}): void {
  const { numerics = ['exact', 'i16', 'i8'], threads = 1, only = () => true } = options;
  describe(`parity of ${options.label ?? backend.name}`, () => {
    for (const op of options.ops ?? (Object.keys(cases) as OpName[]))
      describe(op, () => {
        for (const testCase of cases[op].filter((candidate) => only(op, candidate))) {
          const formats = testCase.formats.filter(options.formats ?? (() => true));
          if (formats.length === 0) continue; // nothing to run is no test
          test(testCase.name, async (context) => {
            await skipUnavailable(backend, options.required ?? false, context);
            const faults: string[] = [];
            for (const format of formats)
              for (const mode of format.kind === 'quant' ? numerics : numerics.slice(0, 1))
                for (const { what, error, tolerance } of await runCase(backend, op, testCase, format, {
                  numerics: mode,
                  threads,
                  tolerance: options.tolerance?.(op, testCase),
                }))
                  faults.push(
                    `${formatName(format)}, ${mode}, ${what}: ${error.toExponential(2)} > ${tolerance}`,
                  );
            expect(faults).toEqual([]);
          });
        }
      });
  });
}

/** Skips a test, with the backend's reason, where it cannot run here. */
export async function skipUnavailable(
  backend: Backend,
  required: boolean,
  context: Pick<TestContext, 'skip'>,
): Promise<void> {
  const reason = await backend.unavailable();
  if (reason === null) return;
  if (required) throw new Error(`backend ${backend.name} is required here: ${reason}`);
  context.skip(`${backend.name}: ${reason}`);
}
