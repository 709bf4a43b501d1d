import { EdgeError, messageOf } from '../../errors.ts';

/** A running thread of the pool, as the runtime starts it. */
export interface Thread {
  terminate(): Promise<void>;
}

/**
 * Starts a thread that passes `data` to `prepareThread` (thread.ts), and resolves once that is done and the thread is
 * about to run. `failed` is called if it ends without being asked to.
 */
export type SpawnThread = (data: unknown, failed: (cause: unknown) => void) => Promise<Thread>;

/** Data that a thread is started with. */
export interface ThreadData {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  pool: number; // address of the pool_block, in units of 4 bytes
  index: number; // ≥ 1
  stack: number; // the upper end of its stack, in bytes
}

export const MAX_THREADS = 64;
const START_MS = 10_000;

/**
 * The threads beside the caller's own. They join one after the other, while the caller goes on alone. What cannot be
 * started is left out; what dies ends the pool.
 */
export class ThreadPool {
  /** Resolves once all have joined that will. */
  readonly started: Promise<void>;
  /** Why the pool is smaller than asked for, or null. */
  fault: string | null = null;
  private readonly threads: Thread[] = [];
  private dead = false;

  constructor(spawn: SpawnThread, data: Omit<ThreadData, 'index' | 'stack'>, stacks: readonly number[]) {
    this.started = this.start(spawn, data, stacks);
  }

  private async start(
    spawn: SpawnThread,
    data: Omit<ThreadData, 'index' | 'stack'>,
    stacks: readonly number[],
  ): Promise<void> {
    for (const [i, stack] of stacks.entries()) {
      try {
        const thread = await this.spawn(spawn, { ...data, index: i + 1, stack });
        this.threads.push(thread);
        if (this.dead) return; // terminate() waits for what has just started
      } catch (cause) {
        this.fault = `thread ${i + 1} did not start: ${messageOf(cause)}`;
        return; // indices must be consecutive
      }
    }
  }

  private async spawn(spawn: SpawnThread, data: ThreadData): Promise<Thread> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let late = false;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        late = true;
        reject(new EdgeError('WORKER_DIED', `no answer within ${START_MS} ms`));
      }, START_MS);
    });
    const thread = spawn(data, (cause) => this.die(data.index, cause));
    thread.then((started) => (late ? started.terminate() : undefined)).catch(() => {});
    try {
      return await Promise.race([thread, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Threads that can take part in a step, the caller's own included. */
  get size(): number {
    return this.dead ? 1 : 1 + this.threads.length;
  }

  private die(index: number, cause: unknown): void {
    if (this.dead || index > this.threads.length) return; // never joined
    this.dead = true;
    this.fault = `thread ${index} ended: ${messageOf(cause)}`;
  }

  async terminate(): Promise<void> {
    this.dead = true;
    await this.started;
    await Promise.all(this.threads.map((thread) => thread.terminate()));
    this.threads.length = 0;
  }
}
