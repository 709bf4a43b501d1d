import { defineConfig } from 'vitest/config';
import { FULL } from './test/helpers/full.ts';
import { LAVAPIPE, LAVAPIPE_LIBRARIES } from './test/helpers/provided.ts';
import { assets } from './vitest.config.ts';

// Before the workers start: a process finds its libraries when it starts.
process.env.VK_ICD_FILENAMES = LAVAPIPE;
process.env.LD_LIBRARY_PATH = LAVAPIPE_LIBRARIES;

/** WebGPU on Mesa's software GPU, whose subgroups are of another size than SwiftShader's, and which has shader-f16. */
export default defineConfig({
  plugins: [assets],
  test: {
    // That of `tiny` compiles for two minutes.
    include: [`test/webgpu/{adapter,parity,golden${FULL ? ',tiny' : ''}}.test.ts`],
    testTimeout: 300_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
