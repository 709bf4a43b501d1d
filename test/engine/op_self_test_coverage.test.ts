import { expect, test } from 'vitest';
import { makePlan } from '../../src/backends/gpu/plan.ts';
import { SPEC_FEATURES } from '../../src/backends/webgpu/index.ts';
import { knownFormats, knownProgram, knownSteps } from '../../src/engine/selftest/op_self_test.ts';

const LARGE = { ...SPEC_FEATURES, subgroups: 32, packedDots: true, maxWorkgroupMemory: 32_768 };
const F16 = { ...LARGE, f16: true };
const MATRICES = { ...F16, matrices: { M: 16, N: 16, K: 16 } };

/** Two sessions are never the many rows for which these are: after mamba2_decode, and of the head. */
const MANY = ['matmul of a layer', 'matmul'];
const both = (entries: readonly string[]) => [...entries.map((entry) => `${entry} of a layer`), ...entries];
const MANY_F16 = both(['to_f16', 'matmul_f16']);
const MANY_MATRICES = both(['to_f16', 'matmul_matrix', 'matmul_matrix']);

test.each([
  ['no subgroups', SPEC_FEATURES, 'exact', MANY],
  ['subgroups', LARGE, 'exact', MANY],
  ['packed dots', LARGE, 'i16', MANY],
  ['f16', F16, 'i16', MANY_F16],
  ['subgroup matrices', MATRICES, 'i16', MANY_MATRICES],
] as const)(
  'the known answer depends on every WebGPU kernel of its model: %s',
  (_, features, numerics, unreachable) => {
    const { launches, tail } = makePlan(knownProgram, knownFormats, features, { slots: 2, numerics });
    const entries = launches.map(({ kernel }) => kernel);
    expect(entries).toEqual(expect.arrayContaining(['mamba2_decode', 'mamba2_project']));
    const shapes = knownSteps.map(({ rows: [a, b] }) => ({
      rows: a + b,
      segments: Math.min(2, a + b),
      logitRows: Math.min(2, a + b),
      outputs: Math.min(2, a + b),
      single: a + b <= 2,
    }));
    const unreached = launches.flatMap(({ kernel, workgroups }, i) =>
      shapes.some((shape) => workgroups(shape) !== null)
        ? []
        : [`${kernel}${i >= tail ? '' : ' of a layer'}`],
    );
    expect(unreached).toEqual(unreachable);
  },
);
