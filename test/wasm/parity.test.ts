import type { OpName } from '../../src/ops/index.ts';
import { FULL } from '../helpers/full.ts';
import { runParity } from '../ops/parity.ts';
import { SIMDS, variant } from './host.ts';

for (const simd of SIMDS) runParity(variant(simd, { threaded: false }), { label: `wasm ${simd}` });

// Threads share the rows of weights, and heads: `npm run test:full` runs the other ops, too.
const shared: OpName[] = ['norm_linear', 'linear_residual', 'logits', 'ssd_scan', 'window_attention'];
const ops = FULL ? undefined : shared;
const formats = (_: unknown, index: number) => ops === undefined || index % 2 === 0;
for (const [simd, threads, numerics] of [
  ['simd', 2, ['exact', 'i16']],
  ['relaxed', 3, ['i8']],
] as const)
  runParity(variant(simd, { sum16: false }), {
    label: `wasm ${simd}, ${threads} threads`,
    threads,
    numerics,
    formats,
    ...(ops && { ops }),
  });
