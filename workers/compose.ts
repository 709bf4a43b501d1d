import {
  canBlock,
  canShareMemory,
  coreCount,
  findGpu,
  runtimeName,
  spawnThread,
  withoutGpuHardware,
} from '#runtime';
import type { Backend } from '../src/backends/types.ts';
import { wasmBackend } from '../src/backends/wasm/index.ts';
import { webgpuBackend } from '../src/backends/webgpu/index.ts';
import type { Loader } from './protocol.ts';

/** The composition root: the backends of this build, with what the runtime gives them. */
export function createBackends(loader: Pick<Loader, 'wasmModule'>): Backend[] {
  return [
    webgpuBackend({ gpu: findGpu, withoutHardware: withoutGpuHardware, device: runtimeName() }),
    wasmBackend({
      module: (name) => loader.wasmModule(name),
      spawnThread,
      cores: coreCount(),
      canShareMemory: canShareMemory(),
      canBlock: canBlock(),
      device: runtimeName(),
    }),
  ];
}
