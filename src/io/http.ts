import { EdgeError, messageOf, throwIfAborted } from '../errors.ts';

/** How files are fetched. */
export interface HttpOptions {
  headers?: Readonly<Record<string, string>>;
  retries?: number; // 3: after failures that may pass
  retryMs?: number; // 500: before the first retry; each later one waits twice as long
  stallMs?: number; // 30,000: without a byte, a transfer has failed
  small?: number; // bytes, 16 MiB: files up to this come whole, in one request
}

/** A failure that may pass: the server is busy, or the connection broke off. */
class TransientError extends EdgeError {
  constructor(
    message: string,
    readonly afterMs: number | null, // what the server asked for
    cause?: unknown,
  ) {
    super('NETWORK', message, cause === undefined ? {} : { cause });
  }
}

const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504]);
const MOST_WAIT = 60_000; // ms
const STALL = 30_000; // ms

/** Runs `attempt` until it succeeds, fails for good, or has failed too often since it last made progress. */
export async function persist<T>(
  { retries = 3, retryMs = 500 }: HttpOptions,
  signal: AbortSignal | undefined,
  attempt: (progressed: () => void) => Promise<T>,
): Promise<T> {
  let failures = 0;
  for (;;) {
    try {
      return await attempt(() => {
        failures = 0;
      });
    } catch (error) {
      failures += 1;
      if (!(error instanceof TransientError) || failures > retries) throw error;
      const wait = error.afterMs ?? retryMs * 2 ** (failures - 1);
      await pause(Math.min(wait, MOST_WAIT), signal);
    }
  }
}

/** One request; its body must be read with `readBody` or discarded. @throws NETWORK, ABORTED */
export async function request(
  url: string,
  { range }: { range?: readonly [number, number] },
  { headers, stallMs = STALL }: HttpOptions,
  signal: AbortSignal | undefined,
): Promise<Response> {
  throwIfAborted(signal);
  const stalled = AbortSignal.timeout(stallMs);
  const controller = new AbortController();
  const abort = () => controller.abort();
  stalled.addEventListener('abort', abort);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const response = await fetch(url, {
      headers: { ...headers, ...(range && { Range: `bytes=${range[0]}-${range[1]}` }) },
      signal: controller.signal,
    });
    if (
      !/^(https?|blob|data):/.test(response.url || url) ||
      (/^https:/.test(url) && /^http:/.test(response.url))
    )
      throw new EdgeError('NETWORK', `${url} leads to ${response.url.slice(0, 200)}, which is not as safe`);
    if (!TRANSIENT.has(response.status)) return response;
    await discard(response);
    throw new TransientError(`${url}: ${answered(response)}`, retryAfter(response));
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof EdgeError) throw cause;
    const why = stalled.aborted ? `no answer within ${stallMs} ms` : reason(cause);
    throw new TransientError(`${url} cannot be reached: ${why}`, null, cause);
  } finally {
    stalled.removeEventListener('abort', abort);
    signal?.removeEventListener('abort', abort);
  }
}

/** Hands over what arrives, piece by piece, until `take` answers false. @throws NETWORK, ABORTED */
export async function readBody(
  url: string,
  response: Response,
  { stallMs = STALL }: HttpOptions,
  signal: AbortSignal | undefined,
  take: (piece: Uint8Array) => unknown,
): Promise<void> {
  const reader = response.body?.getReader();
  const abort = () => void reader?.cancel().catch(() => {});
  signal?.addEventListener('abort', abort, { once: true });
  let taken = 0;
  try {
    while (reader) {
      const { done, value } = await within(stallMs, reader.read());
      throwIfAborted(signal);
      if (done) return;
      if (take(value) === false) return void (await reader.cancel().catch(() => {}));
      taken += value.length;
    }
  } catch (cause) {
    await reader?.cancel().catch(() => {});
    throwIfAborted(signal);
    if (cause instanceof EdgeError) throw cause;
    throw new TransientError(
      `${url}: the transfer broke off after ${taken} bytes: ${reason(cause)}`,
      null,
      cause,
    );
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** A body that ended before it should have. */
export function shortBody(url: string, expected: number, found: number): EdgeError {
  return new TransientError(`${url}: ${expected} bytes were announced, ${found} came; load again`, null);
}

export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}

/** The server's answer, and advice. */
export function answered({ status, statusText }: Response): string {
  const help =
    status === 401 || status === 403
      ? ': it is private, gated or not there; give a token of somebody who may read it'
      : '';
  return `the server answered ${status} ${statusText}${help}`;
}

function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing came for ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
    function done() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      try {
        throwIfAborted(signal);
        resolve();
      } catch (error) {
        reject(error);
      }
    }
  });
}

function retryAfter(response: Response): number | null {
  const text = response.headers.get('retry-after') ?? '';
  if (/^\d{1,6}$/.test(text)) return 1000 * Number(text);
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now());
}

function reason(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? `: ${cause.cause.message}` : '';
  return `${messageOf(cause)}${inner}`;
}
