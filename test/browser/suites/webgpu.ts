import { webgpuBackend } from '../../../src/backends/webgpu/index.ts';
import { findGpu, runtimeName } from '../../../src/runtime/browser.ts';
import { runGolden } from '../../models/golden.ts';
import { cases } from '../../ops/cases.ts';
import { richest } from '../../ops/cover.ts';
import { runParity } from '../../ops/parity.ts';

// Chromium's software GPU compiles each kernel for a second or more: one case of every kind of every op, and one fixture.
const CASES = new Set(Object.values(cases).flatMap(richest));
const backend = webgpuBackend({ gpu: findGpu, device: runtimeName() });

runParity(backend, {
  label: 'webgpu, Chromium',
  numerics: ['exact', 'i16'],
  required: true,
  only: (_, testCase) => CASES.has(testCase),
  formats: (_, index, all) => index % 8 === 2 % Math.min(8, all.length),
});
runGolden(backend, { label: 'webgpu, Chromium', required: true }, ['mamba2-a']);
