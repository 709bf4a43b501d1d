import { vi } from 'vitest';
import { FULL } from '../helpers/full.ts';
import { quant } from '../helpers/tensors.ts';
import { runGolden } from '../models/golden.ts';
import { dawn, ON_LAVAPIPE, REQUIRED } from './host.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // software GPUs compile slowly

// On a software GPU a fixture takes half a minute, mostly to compile: `npm run test:full` runs all of them.

runGolden(
  dawn(),
  { label: 'webgpu, subgroups', required: REQUIRED },
  FULL ? undefined : [ON_LAVAPIPE ? 'falcon-h1' : 'rene-a'],
);
// The residual of one row goes from block to block in shares (mamba2_project). Activations of 16 bits are each wrong by
// up to 2^-16 of their group's largest, and that adds up from block to block: the bound of the same numerics on WASM.
for (const numerics of ['exact', 'i16'] as const)
  runGolden(
    dawn(),
    {
      label: `webgpu, one row at a time, ${numerics}`,
      numerics,
      chunk: 1,
      format: quant(8, 32),
      against: 'reference',
      tolerance: numerics === 'i16' ? 1e-3 : 1e-4,
      required: REQUIRED,
    },
    FULL ? undefined : ON_LAVAPIPE && numerics === 'exact' ? ['mamba2-a', 'rene-a'] : ['mamba2-a'],
  );
if (ON_LAVAPIPE)
  runGolden(
    dawn(),
    {
      label: 'webgpu, f16',
      numerics: 'i16',
      format: quant(4, 32),
      against: 'reference',
      tolerance: 5e-3,
      required: REQUIRED,
    },
    FULL ? undefined : ['mamba2-a'],
  );
else
  runGolden(
    dawn({ subgroups: 0, defaultLimits: true }),
    { label: 'webgpu, no subgroups, default limits, chunks of 3', chunk: 3, required: REQUIRED },
    FULL ? undefined : ['mamba2-a'],
  );
if (FULL && !ON_LAVAPIPE)
  for (const format of [quant(4, 32), quant(8, 64)])
    runGolden(dawn(), { label: `webgpu, q${format.bits}`, format, against: 'reference' });
