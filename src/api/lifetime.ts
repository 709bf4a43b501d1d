import { EdgeError } from '../errors.ts';

/** Tells those who wait for something that it has ended, and why. */
export class Lifetime {
  #end: EdgeError | null = null;
  readonly #listeners = new Set<(end: EdgeError) => void>();

  /** Calls `listener` once: at the end, or now if that is past. Returns how to stop listening. */
  onEnd(listener: (end: EdgeError) => void): () => void {
    if (this.#end) listener(this.#end);
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The first end counts. */
  end(end: EdgeError): void {
    if (this.#end) return;
    this.#end = end;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener(end);
  }
}

/** What may end a wait. */
export interface Ends {
  signal: AbortSignal | undefined;
  lives: readonly Lifetime[];
}

/** Calls `listener` with the first end that comes, or came. Returns how to stop listening. */
export function onFirstEnd({ signal, lives }: Ends, listener: (end: EdgeError) => void): () => void {
  const stops: (() => void)[] = [];
  let heard = false;
  const stop = () => {
    for (const each of stops.splice(0)) each();
  };
  const hear = (end: EdgeError) => {
    if (heard) return;
    heard = true;
    stop();
    listener(end);
  };
  if (signal) {
    const abort = () => hear(new EdgeError('ABORTED', 'The operation was aborted', { cause: signal.reason }));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    stops.push(() => signal.removeEventListener('abort', abort));
  }
  for (const life of lives) stops.push(life.onEnd(hear));
  if (heard) stop();
  return stop;
}

/** What `promise` gives, unless an end comes first: what a caller hands in may never settle. */
export function unlessEnded<T>(promise: Promise<T>, ends: Ends): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = onFirstEnd(ends, reject);
    promise.then(resolve, reject).finally(stop);
  });
}
