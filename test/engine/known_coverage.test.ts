import { expect, test } from 'vitest';
import { SPEC_FEATURES } from '../../src/backends/webgpu/index.ts';
import { Plan } from '../../src/backends/webgpu/plan.ts';
import { knownFormats, knownProgram, knownSteps } from '../../src/engine/known_answer.ts';

const LARGE = { ...SPEC_FEATURES, subgroups: 32, packedDots: true, maxWorkgroupMemory: 32_768 };
const MATRICES = { ...LARGE, matrices: { M: 16, N: 16, K: 16 } };

/** Two sessions are never the many rows for which these are: after mamba2_decode, and of the head. */
const MANY = ['matmul of a layer', 'matmul'];
const HALVES = ['to_half', 'matmul_matrix', 'matmul_matrix'];
const MANY_HALVES = [...HALVES.map((entry) => `${entry} of a layer`), ...HALVES];

test.each([
  ['no subgroups', SPEC_FEATURES, 'exact', MANY],
  ['subgroups', LARGE, 'exact', MANY],
  ['packed dots', LARGE, 'i16', MANY],
  ['subgroup matrices', MATRICES, 'i16', MANY_HALVES],
] as const)(
  'the known answer depends on every WebGPU kernel of its model: %s',
  (_, features, numerics, unreachable) => {
    const { launches, tail } = new Plan(knownProgram, knownFormats, features, { slots: 2, numerics });
    expect(launches.map(({ entry }) => entry)).toContain('mamba2_decode');
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
    expect(unreached).toEqual(unreachable);
  },
);
