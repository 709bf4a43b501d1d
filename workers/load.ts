import { transfer } from 'comlink';
import { spawnEngine, wasmModule } from '#runtime';
import type { ModelDescription } from '../src/engine/load.ts';
import type { EngineOptions, ModelSource, Progress } from '../src/engine/types.ts';
import { EdgeError, throwIfAborted } from '../src/errors.ts';
import type { DownloadOptions } from '../src/io/types.ts';
import { EngineClient } from './client.ts';
import { Model } from './model.ts';
import type { Loader } from './protocol.ts';
import { toWireSource } from './source.ts';

/** Options of `load`. */
export interface LoadOptions extends EngineOptions {
  /** false runs the engine in the calling thread, for tests: it blocks while it computes. */
  worker?: boolean;
  /** Where the worker's script is served, for pages whose Content-Security-Policy forbids Blob URLs. */
  workerUrl?: string | URL;
  /** How models are fetched from URLs and the hub, and kept. */
  download?: DownloadOptions;
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

/**
 * Loads a model and starts its engine.
 * @throws NOT_FOUND, NETWORK, INVALID_FILE, UNSUPPORTED_MODEL, UNSUPPORTED_BACKEND, OUT_OF_MEMORY, ABORTED,
 *   INVALID_ARGUMENT, WORKER_DIED
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  const { worker = true, workerUrl, download, signal, onProgress, ...engineOptions } = options;
  const { wire, blobs } = toWireSource(source, download);
  throwIfAborted(signal);
  let thrown: { error: unknown } | null = null; // by the listener: it ends the load
  const loader = createLoader(blobs, (progress) => {
    try {
      if (!thrown) onProgress?.(progress);
    } catch (error) {
      thrown = { error };
      abort();
    }
  });
  const client = worker
    ? EngineClient.inWorker(await spawnEngine(workerUrl), loader)
    : EngineClient.inPlace(await createInPlace(loader));
  const abort = () => void client.close();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    throwIfAborted(signal);
    // A worker is terminated when the signal aborts; in place, the engine must look at it.
    const info = await client.call((engine) =>
      worker ? engine.load(wire, engineOptions) : engine.load(wire, engineOptions, signal),
    );
    throwIfAborted(signal);
    return new Model(client, info);
  } catch (error) {
    await client.close();
    if (thrown) throw (thrown as { error: unknown }).error; // rather than CLOSED
    throwIfAborted(signal);
    if (error instanceof EdgeError && error.code === 'WORKER_DIED' && workerUrl !== undefined)
      throw new EdgeError('WORKER_DIED', `The worker at ${workerUrl} did not start: ${error.message}`, {
        cause: error,
      });
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/**
 * The memory contract of a model, from its headers alone: nothing is loaded. @throws as `load`
 * @internal
 */
export async function describe(
  source: ModelSource,
  { download, ...options }: EngineOptions & Pick<LoadOptions, 'download'> = {},
): Promise<ModelDescription> {
  const { wire, blobs } = toWireSource(source, download);
  const engine = await createInPlace(createLoader(blobs));
  return engine.describe(wire, options);
}

function createLoader(blobs: readonly Blob[], onProgress?: (progress: Progress) => void): Loader {
  return {
    wasmModule,
    progress: (progress) => onProgress?.(progress),
    async readFile(index, offset, length) {
      const bytes = await blobs[index]!.slice(offset, offset + length).arrayBuffer();
      return transfer(bytes, [bytes]);
    },
  };
}

/** An engine in this thread; its code is only fetched if it is asked for. */
async function createInPlace(loader: Loader) {
  const [{ EngineHost }, { createBackends }] = await Promise.all([
    import('./service.ts'),
    import('./compose.ts'),
  ]);
  return new EngineHost(loader, createBackends);
}
