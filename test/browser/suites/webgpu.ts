import { webgpuBackend } from '../../../src/backends/webgpu/index.ts';
import { findGpu, runtimeName } from '../../../src/runtime/browser.ts';
import { runGolden } from '../../models/golden.ts';
import { runParity } from '../../ops/parity.ts';

// Chromium's software GPU compiles each kernel for a second or more: one case of every op, and one fixture.
const CASES = [
  'every format, 37 wide, scaled, in a wider buffer',
  'a short last group, views of wider buffers',
  'in place, bias, scale',
  'bias, scale, odd sizes, a wider buffer',
  'ragged batch',
  '12 of 16, ragged',
  'odd sizes, ragged',
  'GQA, ragged, odd sizes',
  'filters that leave one token',
];
const backend = webgpuBackend({ gpu: findGpu, device: runtimeName() });

runParity(backend, {
  label: 'webgpu, Chromium',
  numerics: ['exact', 'i16'],
  required: true,
  only: (op, { name }) => op === 'gate_norm' || op === 'activation' || CASES.includes(name),
  formats: (_, index, all) => all.length === 1 || index % 8 === 2,
});
runGolden(backend, { label: 'webgpu, Chromium', required: true }, ['mamba2-a']);
