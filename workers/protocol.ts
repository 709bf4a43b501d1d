import type { EngineOptions, EngineService, ModelInfo, Progress } from '../src/engine/types.ts';

/** A model source that survives structured cloning: URLs are absolute strings, files are blobs with names. */
export type WireSource =
  | { kind: 'location'; location: string } // a path, or an absolute URL
  | { kind: 'urls'; name: string; urls: Record<string, string> } // by file name
  | { kind: 'blobs'; files: { name: string; blob: Blob }[] };

/**
 * What is proxied by Comlink between the user's thread and the engine's worker. `load` comes first and once.
 * To abort a load, the worker is terminated; in place, `signal` does it.
 */
export interface EngineProtocol extends EngineService {
  load(
    source: WireSource,
    options: EngineOptions,
    onProgress: ((progress: Progress) => void) | null,
    signal?: AbortSignal,
  ): Promise<ModelInfo>;
}

/** The protocol from the far side: every call is asynchronous. */
export type RemoteEngine = {
  [K in keyof EngineProtocol]: (
    ...args: Parameters<EngineProtocol[K]>
  ) => Promise<Awaited<ReturnType<EngineProtocol[K]>>>;
};
