import { expect, test, vi } from 'vitest';
import type { OpName } from '../../src/ops/index.ts';
import { FULL } from '../helpers/full.ts';
import { cases } from '../ops/cases.ts';
import { cover, ofManyRows, richest } from '../ops/cover.ts';
import { runParity } from '../ops/parity.ts';
import { boundsChecked } from './bounds.ts';
import { dawn, dawnHost, ON_LAVAPIPE, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // software GPUs compile slowly

const ALL = Object.keys(cases) as OpName[];
const HALF_TOLERANCE = 5e-3;

// A software GPU compiles each kernel for a second or more, those of many rows for longer: `npm test` runs cases that
// have every trait of an op's, `npm run test:full` all. Lavapipe has arithmetic of halves, which is for many rows.
const wanted = (op: OpName) => (FULL ? cases[op] : cover(cases[op].filter((c) => !ofManyRows(op, c))));
const SELECTED = new Set(
  ALL.flatMap((op) => [...wanted(op), ...cases[op].filter((c) => ON_LAVAPIPE && ofManyRows(op, c))]),
);

const VARIANTS = [
  { subgroups: true, numerics: 'exact', formats: 0 },
  { subgroups: false, numerics: 'exact', formats: 2 },
  { subgroups: true, numerics: 'i16', formats: 3 },
] as const;

/** There `sample` is another (host.ts), and cases of logits want log-probabilities, too. */
const runs = (op: OpName) => !ON_LAVAPIPE || (op !== 'logits' && op !== 'sample');
const PACKED: OpName[] = ['norm_linear', 'linear_residual', 'logits'];

/** `logits` takes the longest to compile, and packs its rows as norm_linear does: one case will do. */
const PACKED_CASES = new Set([
  ...[...cases.norm_linear, ...cases.linear_residual].filter((c) => SELECTED.has(c)),
  ...(FULL ? cases.logits : richest(cases.logits)),
]);

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
    tolerance: (op, testCase) =>
      ON_LAVAPIPE && packed && ofManyRows(op, testCase) ? HALF_TOLERANCE : undefined,
    formats: (format, index, all) =>
      (!packed || format.kind === 'quant') && (FULL || index % 8 === formats % Math.min(8, all.length)),
    ops: (packed ? PACKED : ALL).filter(runs),
    only: (_, testCase) => (packed ? PACKED_CASES : SELECTED).has(testCase),
  });
}

if (!ON_LAVAPIPE)
  // The last: all others have run.
  test('no kernel reads or writes beyond an array', () => {
    expect([...checked.outside]).toEqual([]);
  });
