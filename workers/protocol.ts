import type { EngineOptions, EngineService, ModelInfo, Progress } from '../src/engine/types.ts';
import type { DownloadOptions } from '../src/io/types.ts';

/** A model source that survives structured cloning. URLs are absolute; files are read through the loader. */
export type WireSource =
  | { kind: 'location'; location: string; download: DownloadOptions } // a path, or an absolute URL
  | { kind: 'embedded'; urls: readonly string[] } // where its file may be
  | { kind: 'files'; files: { name: string; size: number }[] };

/** The engine's side of the boundary, proxied by Comlink. `load` comes first and once. */
export interface EngineProtocol extends EngineService {
  /** Answers: the worker runs. */
  hello(): void;
  /** To abort it, the worker is terminated; in place, `signal` does it. */
  load(source: WireSource, options: EngineOptions, signal?: AbortSignal): Promise<ModelInfo>;
  /** Loads it again if its device was lost, and brings its sessions back. Failed, it can be tried again. */
  recover(): Promise<ModelInfo>;
}

/** The loader's side, proxied the other way: what the engine asks of the thread that started it. */
export interface Loader {
  progress(progress: Progress): void | Promise<void>;
  /** Bytes of the source's file at `index`. Not every runtime can hand a Blob to a worker. */
  readFile(index: number, offset: number, length: number): Promise<ArrayBuffer>;
  /** The bytes of a module of wasm/modules. Workers made of a Blob can't find files beside the package. */
  wasmModule(name: string): Promise<Uint8Array<ArrayBuffer>>;
}

/** The engine from the far side: every call is asynchronous. */
export type RemoteEngine = {
  [K in keyof EngineProtocol]: (
    ...args: Parameters<EngineProtocol[K]>
  ) => Promise<Awaited<ReturnType<EngineProtocol[K]>>>;
};
