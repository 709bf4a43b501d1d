import { expect, test } from 'vitest';
import { Plan } from '../../src/backends/webgpu/plan.ts';
import { knownFormats, knownProgram, knownSteps } from '../../src/engine/known_answer.ts';

const SPEC = {
  subgroups: 0,
  packedDots: false,
  maxBinding: 2 ** 27,
  maxWorkgroupMemory: 16_384,
  maxThreads: 256,
};
const LARGE = { ...SPEC, subgroups: 32, packedDots: true, maxWorkgroupMemory: 32_768 };

/** Two outputs are never the many rows for which the head's `matmul` is. */
const UNREACHED = ['matmul'];

test.each([
  ['no subgroups', SPEC, 'exact'],
  ['subgroups', LARGE, 'exact'],
  ['packed dots', LARGE, 'i16'],
] as const)('the known answer depends on every WebGPU kernel of its model: %s', (_, features, numerics) => {
  const { launches, tail } = new Plan(knownProgram, knownFormats, features, { slots: 2, numerics });
  const shapes = knownSteps.map(({ rows: [a, b] }) => ({
    rows: a + b,
    segments: 2,
    logitRows: 2,
    outputs: 2,
    single: a + b === 2,
  }));
  const unreached = launches.flatMap(({ entry, workgroups }, i) =>
    shapes.some((shape) => workgroups(shape) !== null) ? [] : [`${entry}${i >= tail ? '' : ' of a layer'}`],
  );
  expect(unreached).toEqual(UNREACHED);
});
