import { EdgeError, throwIfAborted } from '../errors.ts';
import { BlobSource } from './blob.ts';
import { MemorySource } from './memory.ts';
import { checkRange, requirePlainName } from './range.ts';
import type { ByteSource, FileSet } from './types.ts';

const FIRST = 256 * 1024; // bytes asked for at first: all of a small file, the header of a large one
const GROWTH = 1024 * 1024; // bytes, where the server does not tell the size

/** A file behind a URL whose server serves ranges. */
class RangeSource implements ByteSource {
  constructor(
    readonly name: string,
    readonly size: number,
    private readonly head: Uint8Array, // the first bytes, already here
    private readonly etag: string | null,
  ) {}

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    if (length === 0 || offset + length <= this.head.length)
      return this.head.subarray(offset, offset + length);
    const response = await request(this.name, { range: [offset, offset + length - 1] }, signal);
    const range = response.status === 206 ? contentRange(response) : null;
    if (!range || range.begin !== offset || range.total !== this.size || this.changed(response)) {
      await discard(response);
      throw new EdgeError(
        'NETWORK',
        `${this.name}: bytes ${offset} to ${offset + length} of ${this.size} were asked for, the server answered ` +
          `${response.status} with Content-Range '${response.headers.get('content-range') ?? 'none'}'; ` +
          'it changed the file or stopped serving ranges: load again',
      );
    }
    return readBody(this.name, response, length, true, signal);
  }

  async close(): Promise<void> {}

  private changed(response: Response): boolean {
    const etag = response.headers.get('etag');
    return etag !== null && this.etag !== null && etag !== this.etag;
  }
}

/**
 * Opens a URL for ranged reads; null where the server knows no such file. A server that ignores ranges, or
 * hides Content-Range from pages of other origins, is asked for the whole file, which is then kept in memory.
 */
export async function openUrl(url: string, signal?: AbortSignal): Promise<ByteSource | null> {
  const response = await request(url, { range: [0, FIRST - 1] }, signal);
  if (response.status === 404 || response.status === 410 || isFallbackPage(url, response)) {
    await discard(response);
    return null;
  }
  const range = contentRange(response);
  if (response.status === 416 && range?.total === 0) {
    await discard(response);
    return new MemorySource(url, new Uint8Array(0));
  }
  if (response.status === 200) return new MemorySource(url, await readWhole(url, response, signal));
  if (response.status !== 206) {
    await discard(response);
    throw new EdgeError('NETWORK', `${url}: the server answered ${response.status} ${response.statusText}`);
  }
  if (range && range.total !== null && range.begin === 0) {
    const head = await readBody(url, response, Math.min(FIRST, range.total), true, signal);
    return new RangeSource(url, range.total, head, response.headers.get('etag'));
  }
  await discard(response);
  const whole = await request(url, {}, signal);
  if (whole.status === 200) return new MemorySource(url, await readWhole(url, whole, signal));
  await discard(whole);
  throw new EdgeError('NETWORK', `${url}: the server answered ${whole.status} ${whole.statusText}`);
}

/** Opens a `blob:` or `data:` URL, whose bytes are here already. */
export async function openBlobUrl(url: string, signal?: AbortSignal): Promise<ByteSource> {
  const response = await request(url, {}, signal);
  return new BlobSource(url.slice(0, 80), await response.blob());
}

/** Files beside each other under a base URL. `main` is a file's own URL, query and all. */
export function urlFileSet(base: string, main?: { file: string; url: string }): FileSet {
  return {
    name: main?.url ?? base,
    ...(main && { main: main.file }),
    async open(file, signal) {
      if (file === main?.file) return openUrl(main.url, signal);
      requirePlainName(base, file);
      return openUrl(new URL(encodeURIComponent(file), base).href, signal);
    },
    list: async () => null,
  };
}

async function request(
  url: string,
  { range }: { range?: [number, number] },
  signal: AbortSignal | undefined,
): Promise<Response> {
  throwIfAborted(signal);
  try {
    return await fetch(url, {
      ...(range && { headers: { Range: `bytes=${range[0]}-${range[1]}` } }),
      ...(signal && { signal }),
    });
  } catch (cause) {
    throwIfAborted(signal);
    throw new EdgeError('NETWORK', `${url} cannot be reached: ${reason(cause)}`, { cause });
  }
}

/** Development servers answer a page where a file is missing. */
function isFallbackPage(url: string, response: Response): boolean {
  const type = response.headers.get('content-type') ?? '';
  return response.ok && type.startsWith('text/html') && !/\.html?$/i.test(url);
}

function contentRange(response: Response): { begin: number; total: number | null } | null {
  const text = response.headers.get('content-range') ?? '';
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(text.trim());
  if (!match) return null;
  const total = match[2] === '*' ? null : Number(match[2]);
  if (total !== null && !Number.isSafeInteger(total)) return null;
  return { begin: Number(match[1] ?? 0), total };
}

function readWhole(url: string, response: Response, signal?: AbortSignal): Promise<Uint8Array> {
  // The length of an encoded body is not that of the file.
  const encoded = response.headers.get('content-encoding') ?? 'identity';
  const declared = encoded === 'identity' ? response.headers.get('content-length') : null;
  const length = declared !== null && /^\d{1,15}$/.test(declared) ? Number(declared) : null;
  return readBody(url, response, length ?? GROWTH, length !== null, signal);
}

/** The body; `exact`: it must be `expected` bytes, else it may grow beyond. */
async function readBody(
  url: string,
  response: Response,
  expected: number,
  exact: boolean,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  let filled = 0;
  let bytes = new Uint8Array(0);
  const reader = response.body?.getReader();
  try {
    bytes = allocate(url, expected);
    while (reader) {
      const { done, value } = await reader.read();
      if (done) break;
      if (filled + value.length > bytes.length) {
        if (exact) throw wrongLength(url, expected, filled + value.length);
        const grown = allocate(url, Math.max(2 * bytes.length, filled + value.length));
        grown.set(bytes.subarray(0, filled));
        bytes = grown;
      }
      bytes.set(value, filled);
      filled += value.length;
    }
  } catch (cause) {
    await reader?.cancel().catch(() => {});
    throwIfAborted(signal);
    if (cause instanceof EdgeError) throw cause;
    throw new EdgeError('NETWORK', `${url}: the transfer broke off after ${filled} bytes: ${reason(cause)}`, {
      cause,
    });
  }
  if (exact && filled !== expected) throw wrongLength(url, expected, filled);
  return bytes.subarray(0, filled);
}

function wrongLength(url: string, expected: number, found: number): EdgeError {
  return new EdgeError('NETWORK', `${url}: ${expected} bytes were announced, ${found} came; load again`);
}

function allocate(url: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new EdgeError('OUT_OF_MEMORY', `${url}: no memory for its ${length} bytes`, { cause });
  }
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}

function reason(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? `: ${cause.cause.message}` : '';
  return `${cause instanceof Error ? cause.message : String(cause)}${inner}`;
}
