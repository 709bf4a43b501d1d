import { vi } from 'vitest';
import type { OpCase } from '../ops/build.ts';
import { runParity } from '../ops/parity.ts';
import { dawn, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // software GPUs compile slowly

// A software GPU compiles each kernel for a second or more: `npm test` runs what is small, `npm run test:full` all.
const full = process.env.EDGE_SSM_FULL === '1';
const LINEAR_CASES = [
  'every format, 5 rows of 200 to 24',
  'a short last group, views of wider buffers',
  'MLP of tiny',
  'in place, bias, scale',
  'views of wider buffers',
  'bias, scale, odd sizes, a wider buffer',
  'every format, 37 wide, scaled, in a wider buffer',
  'nano',
];
const OTHER_CASES = [
  'fewer rows than the kernel, then more',
  'ragged batch',
  '12 of 16, ragged',
  'far away',
  'odd sizes, ragged',
  '2 groups',
  'clamped dt',
  'tiny',
  'GQA, ragged, odd sizes',
  'step by step',
  'greedy, biases and penalties',
  'filters that leave one token',
  '1024 tokens',
];

function small(op: string, { name }: OpCase): boolean {
  if (op === 'gate_norm' || op === 'activation') return true;
  return [...LINEAR_CASES, ...OTHER_CASES].includes(name);
}

const VARIANTS = [
  { subgroups: 4, numerics: 'exact', formats: 0 },
  { subgroups: 0, numerics: 'exact', formats: 2 },
  { subgroups: 4, numerics: 'i16', formats: 3 },
] as const;

for (const { subgroups, numerics, formats } of VARIANTS) {
  const packed = numerics === 'i16';
  runParity(dawn({ subgroups, defaultLimits: subgroups === 0 }), {
    label: `webgpu, ${subgroups ? 'subgroups' : 'no subgroups, default limits'}, ${numerics}`,
    numerics: [numerics],
    required: REQUIRED,
    ...(packed && { ops: ['norm_linear', 'linear_residual', 'logits'] }),
    formats: (format, index, all) =>
      (!packed || format.kind === 'quant') && (full || all.length === 1 || index % 4 === formats),
    ...(!full && { only: small }),
  });
}
