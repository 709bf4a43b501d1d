import { EdgeError, requireArgument } from '../../errors.ts';
import type { Handle } from '../types.ts';

/** Something that runs and can be told to stop; the scheduler looks between steps. */
export class Call {
  private why: EdgeError | null = null;
  private readonly listeners = new Set<(reason: EdgeError) => void>();

  get aborted(): boolean {
    return this.why !== null;
  }

  /** The error that an aborted call rejects with. */
  get reason(): EdgeError {
    return this.why ?? new EdgeError('INTERNAL', 'The call was not aborted');
  }

  abort(reason: EdgeError = new EdgeError('ABORTED', 'The operation was aborted')): void {
    if (this.why) return;
    this.why = reason;
    for (const listener of this.listeners) listener(reason);
    this.listeners.clear();
  }

  /** Calls `listener` when it is aborted from now on. Returns how to stop listening. */
  onAbort(listener: (reason: EdgeError) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  check(): void {
    if (this.why) throw this.why;
  }
}

/** Calls by their handles, while they run. */
export class Calls {
  private readonly running = new Map<Handle, Call>();

  /** Runs what `abort(handle)` can end; without a handle nothing can. */
  async run<T>(handle: Handle | undefined, run: (call: Call) => Promise<T>): Promise<T> {
    if (handle === undefined) return run(new Call());
    requireArgument(!this.running.has(handle), `There is a call ${handle} already`);
    const call = new Call();
    this.running.set(handle, call);
    try {
      return await run(call);
    } finally {
      this.running.delete(handle);
    }
  }

  abort(handle: Handle): void {
    this.running.get(handle)?.abort();
  }

  abortAll(reason: EdgeError): void {
    for (const call of this.running.values()) call.abort(reason);
  }
}
