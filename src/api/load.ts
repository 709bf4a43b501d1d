import { transfer } from 'comlink';
import { hasWorkers, part, spawnEngine, type WorkerHandle, wasmModule } from '#runtime';
import type { Loader } from '../../workers/protocol.ts';
import type { ModelDescription } from '../engine/load.ts';
import { EdgeError, messageOf, requireArgument, show, throwIfAborted } from '../errors.ts';
import { readCallOptions } from './call_options.ts';
import { EngineClient } from './client.ts';
import { unlessEnded } from './lifetime.ts';
import { Model } from './model.ts';
import { toWireSource } from './source.ts';
import type { EngineOptions, LoadOptions, ModelSource, Progress } from './types/index.ts';

/**
 * Loads a model and starts its engine. A worker that does not say a word for 30 seconds is given up: WORKER_DIED.
 * @throws NOT_FOUND, NETWORK, INVALID_FILE, UNSUPPORTED_MODEL, UNSUPPORTED_BACKEND, OUT_OF_MEMORY, ABORTED,
 *   INVALID_ARGUMENT, WORKER_DIED
 */
export async function load(source: ModelSource, options?: LoadOptions): Promise<Model> {
  const read = readLoadCall(options);
  const { worker: wanted = true, workerUrl, download, signal, onProgress, ...engineOptions } = read;
  const worker = wanted && hasWorkers();
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
    ? EngineClient.inWorker(await startWorker(workerUrl, signal), loader)
    : EngineClient.inPlace(await unlessEnded(createInPlace(loader), { signal, lives: [] }));
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

/** @throws WORKER_DIED where the runtime starts none, ABORTED */
async function startWorker(
  url: string | URL | undefined,
  signal: AbortSignal | undefined,
): Promise<WorkerHandle> {
  const starting = spawnEngine(url);
  try {
    return await unlessEnded(starting, { signal, lives: [] });
  } catch (cause) {
    if (signal?.aborted) starting.then((worker) => worker.terminate()).catch(() => {}); // once it is there
    if (cause instanceof EdgeError) throw cause;
    const reason = messageOf(cause);
    throw new EdgeError(
      'WORKER_DIED',
      `The engine's worker could not be started (${reason}). Allow workers here (Node's permissions: --allow-worker), ` +
        'or load with { worker: false }, which computes in the calling thread',
      { cause },
    );
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

/** The options that the page's side reads; those of the engine are checked there. */
function readLoadCall(options: LoadOptions | undefined): LoadOptions {
  const read = readCallOptions('load', options);
  const { worker, workerUrl, onProgress } = read as Record<string, unknown>;
  requireArgument(
    worker === undefined || typeof worker === 'boolean',
    `worker must be true or false, found ${show(worker)}`,
  );
  requireArgument(
    workerUrl === undefined ||
      (typeof workerUrl === 'string' && workerUrl !== '') ||
      workerUrl instanceof URL,
    `workerUrl must be the address of the worker's script, found ${show(workerUrl)}`,
  );
  requireArgument(
    onProgress === undefined || typeof onProgress === 'function',
    `onProgress must be a function, found ${show(onProgress)}`,
  );
  return read;
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
  const [{ EngineHost }, { createBackends }] = await part(
    Promise.all([import('../../workers/service.ts'), import('../../workers/compose.ts')]),
  );
  return new EngineHost(loader, createBackends);
}
