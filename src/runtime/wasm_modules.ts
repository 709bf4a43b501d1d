import { part } from './part.ts';

// Scripts that hold the modules of wasm/modules, as the build makes them: no bundler loses a script. Each is imported
// where it is run, and no other.
const MODULES: Record<string, () => Promise<{ default: Uint8Array<ArrayBuffer> }>> = {
  'edge.scalar': () => import('../../dist/wasm/edge.scalar.wasm.js'),
  'edge.scalar.threads': () => import('../../dist/wasm/edge.scalar.threads.wasm.js'),
  'edge.simd': () => import('../../dist/wasm/edge.simd.wasm.js'),
  'edge.simd.threads': () => import('../../dist/wasm/edge.simd.threads.wasm.js'),
  'edge.relaxed': () => import('../../dist/wasm/edge.relaxed.wasm.js'),
  'edge.relaxed.threads': () => import('../../dist/wasm/edge.relaxed.threads.wasm.js'),
  'edge.memory64': () => import('../../dist/wasm/edge.memory64.wasm.js'),
};

/** The bytes of a module of wasm/modules. */
export async function wasmModule(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return (await part(MODULES[name]!())).default;
}
