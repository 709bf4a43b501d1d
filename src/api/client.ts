import { expose, type Remote, wrap } from 'comlink';
import type { WorkerHandle } from '#runtime';
import { asEdgeError, installErrorTransfer } from '../../workers/errors.ts';
import type { EngineProtocol, Loader, RemoteEngine } from '../../workers/protocol.ts';
import type { Handle } from '../engine/types.ts';
import { EdgeError, messageOf, throwIfAborted } from '../errors.ts';
import { Lifetime } from './lifetime.ts';

/** A started worker says its first word within so many looks, each after so many ms: a page that slept misses one. */
const LOOKS = 3;
const LOOK_MS = 10_000;

interface End {
  code: 'WORKER_DIED' | 'CLOSED';
  message: string;
  cause?: unknown;
}

/**
 * The user's end of an engine, in a worker or in place. Every call rejects with an EdgeError; all pending ones
 * reject when the worker dies (WORKER_DIED) or the model is disposed (CLOSED), and later ones too.
 */
export class EngineClient {
  /** Ends with the engine: WORKER_DIED or CLOSED. */
  readonly life = new Lifetime();
  readonly #engine: RemoteEngine;
  readonly #worker: WorkerHandle | null;
  readonly #pending = new Set<(error: EdgeError) => void>();
  #end: End | null = null;
  #closing: Promise<void> | null = null;
  #handles = 0;

  private constructor(engine: RemoteEngine, worker: WorkerHandle | null) {
    this.#engine = engine;
    this.#worker = worker;
    worker?.keepAlive(false);
    worker?.onDeath((cause) => {
      const reason = messageOf(cause);
      this.#finish({
        code: 'WORKER_DIED',
        message: `The engine's worker ended unexpectedly (${reason}). Load the model again`,
        cause,
      });
    });
  }

  /** Both sides call each other over one endpoint: Comlink tells calls from answers. */
  static inWorker(worker: WorkerHandle, loader: Loader): EngineClient {
    installErrorTransfer();
    expose(loader, worker.endpoint);
    const remote: Remote<EngineProtocol> = wrap<EngineProtocol>(worker.endpoint);
    const client = new EngineClient(remote as unknown as RemoteEngine, worker);
    client.#expectWord(worker);
    return client;
  }

  static inPlace(engine: EngineProtocol): EngineClient {
    return new EngineClient(engine as unknown as RemoteEngine, null);
  }

  /** Gives a worker up that never answers: nothing else would tell. */
  #expectWord(worker: WorkerHandle): void {
    let looks = 0;
    const timer = setInterval(() => {
      looks += 1;
      if (looks < LOOKS) return;
      this.#finish({
        code: 'WORKER_DIED',
        message:
          `The engine's worker has not said a word for ${(LOOKS * LOOK_MS) / 1000} seconds: its script was not loaded, or is ` +
          "not edge-ssm's. Check its address (workerUrl), its MIME type (text/javascript), and the page's " +
          "Content-Security-Policy (worker-src, and script-src with 'wasm-unsafe-eval')",
      });
      this.#closing ??= worker.terminate().catch(() => {});
    }, LOOK_MS);
    const heard = () => clearInterval(timer);
    this.life.onEnd(heard);
    this.#engine.hello().then(heard, heard);
  }

  /** A fresh name for a session, a generation or a cancellable call. */
  handle(): Handle {
    this.#handles += 1;
    return this.#handles;
  }

  /** Calls the engine. Errors show where `caller` was made: the engine's own stack does not tell who called. */
  call<T>(run: (engine: RemoteEngine) => T | Promise<T>, caller = new Error()): Promise<T> {
    if (this.#end) return Promise.reject(this.#ended());
    return new Promise<T>((resolve, reject) => {
      const end = (error: EdgeError) => reject(calledFrom(caller, error));
      this.#pending.add(end);
      if (this.#pending.size === 1) this.#worker?.keepAlive(true);
      const done = () => {
        this.#pending.delete(end);
        if (this.#pending.size === 0 && !this.#end) this.#worker?.keepAlive(false); // at the end `close` waits for it
      };
      new Promise<T>((settle) => settle(run(this.#engine))).then(
        (value) => {
          done();
          resolve(value);
        },
        (error: unknown) => {
          done();
          end(understand(error));
        },
      );
    });
  }

  /** Calls the engine under a handle that `signal` aborts. */
  async abortable<T>(
    signal: AbortSignal | undefined,
    run: (engine: RemoteEngine, call: Handle) => T | Promise<T>,
    call = this.handle(),
  ): Promise<T> {
    throwIfAborted(signal);
    const abort = () => {
      this.call((engine) => engine.abort(call)).catch(() => {}); // the call itself tells what happened
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await this.call((engine) => run(engine, call));
    } catch (error) {
      if (signal?.aborted && error instanceof EdgeError && error.code === 'ABORTED') throwIfAborted(signal);
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Ends the engine and its worker. Calling it again is harmless. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const alive = this.#end === null;
    this.#finish({ code: 'CLOSED', message: 'The model was disposed. Load it again to use it' });
    if (!alive) return;
    this.#worker?.keepAlive(true);
    if (this.#worker) await this.#worker.terminate();
    else await this.#engine.dispose();
  }

  #finish(end: End): void {
    if (this.#end) return;
    this.#end = end;
    for (const reject of this.#pending) reject(this.#ended());
    this.#pending.clear();
    this.life.end(this.#ended());
  }

  #ended(): EdgeError {
    const { code, message, cause } = this.#end!;
    return new EdgeError(code, message, cause === undefined ? undefined : { cause });
  }
}

/** Node's word for streams and ports, which cannot be copied. */
const UNSENDABLE = 'ERR_MISSING_TRANSFERABLE_IN_TRANSFER_LIST';

/** Errors of the transport itself: an argument that can't be cloned is the caller's. */
function understand(error: unknown): EdgeError {
  if (
    error instanceof Error &&
    (error.name === 'DataCloneError' || ('code' in error && error.code === UNSENDABLE))
  )
    return new EdgeError('INVALID_ARGUMENT', `An argument can't be sent to the engine: ${error.message}`, {
      cause: error,
    });
  return asEdgeError(error);
}

/** The error with the caller's lines before those of the engine. */
function calledFrom(caller: Error, error: EdgeError): EdgeError {
  const told = new EdgeError(
    error.code,
    error.message,
    error.cause === undefined ? undefined : { cause: error.cause },
  );
  const header = `${error.name}: ${error.message}`;
  told.stack = [header, ...framesOf(caller), '    in the engine:', ...framesOf(error)].join('\n');
  return told;
}

/** Lines of a stack as V8 writes them, or as Safari, Firefox and Bun do. */
function framesOf({ stack = '' }: Error): string[] {
  return stack.split('\n').filter((line) => /^\s+at \S|^[^\s@]*@\S+:\d+/.test(line));
}
