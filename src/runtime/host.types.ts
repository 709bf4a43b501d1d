import type { Endpoint } from 'comlink';

/** The engine's worker, seen from the thread that started it. */
export interface WorkerHandle {
  endpoint: Endpoint;
  /** Called once when the worker ends, for whatever reason. */
  onDeath(listener: (cause: unknown) => void): void;
  terminate(): Promise<void>;
  /** Whether the worker keeps the process alive; true when it starts. */
  keepAlive(alive: boolean): void;
}

/** A running thread of the WASM thread pool. */
export interface Thread {
  terminate(): Promise<void>;
}
