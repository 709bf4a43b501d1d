import { wasmBackend } from '../../../src/backends/wasm/index.ts';
import { runtimeName, wasmModule } from '../../../src/runtime/browser.ts';
import { runGolden } from '../../models/golden.ts';
import { runParity } from '../../ops/parity.ts';

const host = {
  module: wasmModule,
  spawnThread: null, // a page's main thread may not wait for others; page.test.ts runs teams in workers
  cores: 1,
  canShareMemory: false,
  canBlock: false,
  device: runtimeName(),
};

for (const simd of ['scalar', 'simd', 'relaxed'] as const) {
  const backend = wasmBackend(host, { simd, threaded: false });
  runParity(backend, { label: `wasm ${simd}, Chromium`, required: true });
  runGolden(backend, { label: `wasm ${simd}, Chromium`, required: true });
}

// Everything but what a step is told by above 4 GiB; a page may make shared memories without sharing them.
const memory64 = wasmBackend(host, { simd: 'relaxed', memory64: true, lift: 4.5 * 2 ** 30 });
runParity(memory64, { label: 'wasm memory64, Chromium', required: true });
runGolden(memory64, { label: 'wasm memory64, Chromium', required: true });
