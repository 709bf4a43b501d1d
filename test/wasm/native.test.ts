import { afterAll, describe, expect, type TestContext, test } from 'vitest';
import { MODULE_BYTES } from '../../src/backends/wasm/memory.ts';
import type { OpName } from '../../src/ops/index.ts';
import type { Numerics, WeightFormat } from '../../src/types.ts';
import { FULL } from '../helpers/full.ts';
import { formatName, quant } from '../helpers/tensors.ts';
import type { OpCase } from '../ops/build.ts';
import { cases } from '../ops/cases.ts';
import { runCase } from '../ops/run_case.ts';
import { variant } from './host.ts';
import { NativeRunner, type RecordedStep, recordSteps } from './native.ts';

const native = new NativeRunner();
afterAll(() => native.dispose());

/** The first float format, and a packed one of each kind that a case has. */
function formatsOf({ formats }: OpCase): WeightFormat[] {
  const wanted = [quant(4, 32), quant(8, 64), quant(4, 64, true), quant(8, 16, true, 'f32')].map(formatName);
  return [formats[0]!, ...formats.filter((format) => wanted.includes(formatName(format)))];
}

function needCompiler(context: TestContext): void {
  if (!native.obstacle) return;
  if (process.env.CI === 'true') throw new Error(`CI must provide it: ${native.obstacle}`);
  context.skip(native.obstacle);
}

const MODES: Numerics[] = ['exact', 'i16', 'i8'];

/** `npm test` takes them in turn, `npm run test:full` all for each format. */
function modesOf(format: WeightFormat, index: number): Numerics[] {
  if (format.kind === 'float') return ['exact'];
  return FULL ? MODES : [MODES[index % 3]!];
}

describe('the ops under sanitizers', () => {
  for (const op of Object.keys(cases) as OpName[])
    for (const testCase of cases[op])
      test(`${op}: ${testCase.name}`, async (context) => {
        needCompiler(context);
        const steps: (RecordedStep & { how: string })[] = [];
        for (const [i, format] of formatsOf(testCase).entries())
          for (const numerics of modesOf(format, i)) {
            const recorded: RecordedStep[] = [];
            const backend = variant('scalar', { gap: 64, threaded: false, wrap: recordSteps(recorded) });
            await runCase(backend, op, testCase, format, { numerics, threads: 1 });
            expect(recorded.length).toBeGreaterThan(0);
            steps.push(...recorded.map((step) => ({ ...step, how: `${formatName(format)}, ${numerics}` })));
          }
        const found = native.run(steps); // a process starts but once
        for (const [i, step] of steps.entries())
          expect(firstDifference(found[i]!, step), step.how).toBe('none');
      });
});

/** The region where native memory and that of the module differ; the module's own is left out. */
function firstDifference(found: Uint8Array, { after, regions }: RecordedStep): string {
  for (let i = MODULE_BYTES; i < after.length; i++)
    if (found[i] !== after[i]) {
      const region = regions.findLast(({ offset }) => offset <= i);
      return `byte ${i - region!.offset} of ${region!.name} (${region!.bytes})`;
    }
  return 'none';
}
