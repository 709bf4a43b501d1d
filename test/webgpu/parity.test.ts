import { expect, test, vi } from 'vitest';
import type { OpName } from '../../src/ops/index.ts';
import { FULL } from '../helpers/full.ts';
import type { OpCase } from '../ops/build.ts';
import { cases } from '../ops/cases.ts';
import { runParity } from '../ops/parity.ts';
import { boundsChecked } from './bounds.ts';
import { dawn, dawnHost, ON_LAVAPIPE, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // software GPUs compile slowly

// A software GPU compiles each kernel for a second or more: `npm test` runs what is small, `npm run test:full` all.
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
  'a million tokens away',
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

// Many rows, for which lavapipe has arithmetic of halves.
const HALF_CASES = ['in_proj of nano, chunk of 64', 'out_proj of nano, chunk of 64'];
const HALF_TOLERANCE = 5e-3;

function small(op: string, { name }: OpCase): boolean {
  if (ON_LAVAPIPE && HALF_CASES.includes(name)) return true;
  if (op === 'gate_norm' || op === 'activation') return true;
  return [...LINEAR_CASES, ...OTHER_CASES].includes(name);
}

const VARIANTS = [
  { subgroups: true, numerics: 'exact', formats: 0 },
  { subgroups: false, numerics: 'exact', formats: 2 },
  { subgroups: true, numerics: 'i16', formats: 3 },
] as const;

/** There `sample` is another (host.ts), and cases of logits want log-probabilities, too. */
const runs = (op: OpName) => !ON_LAVAPIPE || (op !== 'logits' && op !== 'sample');
const ALL = Object.keys(cases) as OpName[];
const PACKED: OpName[] = ['norm_linear', 'linear_residual', 'logits'];

// With subgroups, indices are checked here; lavapipe and the goldens run these kernels as they are.
const checked = boundsChecked(dawnHost());

for (const { subgroups, numerics, formats } of VARIANTS) {
  if (ON_LAVAPIPE && !subgroups) continue;
  const packed = numerics === 'i16';
  const withSubgroups = ON_LAVAPIPE ? dawn() : checked.backend;
  runParity(subgroups ? withSubgroups : dawn({ subgroups: 0, defaultLimits: true }), {
    label: `webgpu, ${subgroups ? 'subgroups' : 'no subgroups, default limits'}, ${numerics}`,
    numerics: [numerics],
    required: REQUIRED,
    tolerance: ({ name }) =>
      ON_LAVAPIPE && packed && HALF_CASES.includes(name) ? HALF_TOLERANCE : undefined,
    ops: (packed ? PACKED : ALL).filter(runs),
    formats: (format, index, all) =>
      (!packed || format.kind === 'quant') && (FULL || all.length === 1 || index % 8 === formats),
    ...(!FULL && { only: small }),
  });
}

// The last test: all others have run.
test.skipIf(ON_LAVAPIPE)('no kernel reads or writes beyond an array', () => {
  expect([...checked.outside]).toEqual([]);
});
