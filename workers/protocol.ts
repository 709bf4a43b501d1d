import type { EngineOptions, EngineService, ModelInfo, Progress } from '../src/engine/types.ts';

/** A model source that survives structured cloning: URLs are absolute strings, files are blobs with names. */
export type WireSource =
  | { kind: 'location'; location: string } // a path, or an absolute URL
  | { kind: 'urls'; name: string; urls: Record<string, string> } // by file name
  | { kind: 'blobs'; files: { name: string; blob: Blob }[] };

/** The engine's side of the boundary, proxied by Comlink. `load` comes first and once. */
export interface EngineProtocol extends EngineService {
  /** To abort it, the worker is terminated; in place, `signal` does it. */
  load(source: WireSource, options: EngineOptions, signal?: AbortSignal): Promise<ModelInfo>;
}

/** The loader's side, proxied the other way: what the engine asks of the thread that started it. */
export interface Loader {
  progress(progress: Progress): void | Promise<void>;
  /** The bytes of a module of wasm/modules. Workers made of a Blob can't find files beside the package. */
  wasmModule(name: string): Promise<Uint8Array<ArrayBuffer>>;
}

/** The engine from the far side: every call is asynchronous. */
export type RemoteEngine = {
  [K in keyof EngineProtocol]: (
    ...args: Parameters<EngineProtocol[K]>
  ) => Promise<Awaited<ReturnType<EngineProtocol[K]>>>;
};
