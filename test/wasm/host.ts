import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { buildSync } from 'esbuild';
import type { Backend } from '../../src/backends/types.ts';
import {
  type SpawnThread,
  type WasmHost,
  type WasmOverrides,
  wasmBackend,
} from '../../src/backends/wasm/index.ts';
import type { Simd } from '../../src/backends/wasm/variants.ts';

if (process.versions.node.startsWith('20.')) {
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  setFlagsFromString('--no-liftoff'); // which gets the relaxed dot wrong: see detectSimd
}

const root = fileURLToPath(new URL('../..', import.meta.url));
let script: string | undefined;

/** The thread's script, bundled from its source. */
function threadScript(): string {
  script ??= buildSync({
    entryPoints: [`${root}/workers/wasm-thread.ts`],
    absWorkingDir: root,
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    external: ['comlink'],
    define: { 'import.meta.url': '"file:///"' },
    logLevel: 'error',
  }).outputFiles[0]!.text;
  return script;
}

/** Threads as the runtime starts them, from sources instead of dist. */
export const spawnThread: SpawnThread = (data, failed) => {
  const worker = new Worker(threadScript(), { eval: true });
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => {
      reject(cause);
      failed(cause);
    };
    worker.on('error', fail);
    worker.on('exit', (code) => fail(new Error(`exited with code ${code}`)));
    worker.once('message', () =>
      resolve({
        terminate: async () => {
          worker.removeAllListeners('exit');
          await worker.terminate();
        },
      }),
    );
    worker.postMessage(data);
  });
};

export const host: WasmHost = {
  async module(name) {
    const path = `${root}/wasm/modules/${name}.wasm`;
    if (!existsSync(path)) throw new Error(`${path} was not built: node wasm/build.mjs`);
    return new Uint8Array(readFileSync(path));
  },
  spawnThread,
  cores: 2,
  canShareMemory: true,
  canBlock: true,
  device: 'test',
};

export const SIMDS: readonly Simd[] = ['scalar', 'simd', 'relaxed'];

/** A backend with one variant of the modules. */
export function variant(simd: Simd, overrides: WasmOverrides = {}, changes: Partial<WasmHost> = {}): Backend {
  return wasmBackend({ ...host, ...changes }, { simd, allThreads: true, sum16: true, ...overrides });
}
