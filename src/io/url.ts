import { EdgeError, throwIfAborted } from '../errors.ts';
import { BlobSource } from './blob.ts';
import { BLOCK } from './blocks.ts';
import { answered, discard, type HttpOptions, persist, readBody, request, shortBody } from './http.ts';
import { MemorySource } from './memory.ts';
import { checkRange } from './range.ts';
import type { ByteSource } from './types.ts';

const SMALL = 16 * 2 ** 20; // bytes asked for at first: all of a small file
const HEAD = BLOCK; // bytes kept of a large one's answer: its header, as a rule
const GROWTH = 1024 * 1024; // bytes, where the server does not tell the size

/** A file behind a URL, and which version of it. */
export interface RemoteFile {
  source: ByteSource;
  /** Identifies this version: ETag or date; null without either. */
  version: string | null;
}

/** A file behind a URL whose server serves ranges. */
class RangeSource implements ByteSource {
  constructor(
    readonly name: string,
    readonly size: number,
    private readonly head: Uint8Array, // the first bytes, already here
    private readonly etag: string | null,
    private readonly http: HttpOptions,
  ) {}

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    if (length === 0 || offset + length <= this.head.length)
      return this.head.subarray(offset, offset + length);
    const bytes = allocate(this.name, length);
    let filled = 0;
    const attempt = async (progressed: () => void) => {
      const response = await this.request(offset + filled, length - filled, signal);
      const before = filled;
      await readBody(this.name, response, this.http, signal, (piece) => {
        if (filled + piece.length > length) throw tooLong(this.name, length);
        bytes.set(piece, filled);
        filled += piece.length;
        progressed();
      });
      if (filled === before) throw shortBody(this.name, length, filled);
    };
    while (filled < length) await persist(this.http, signal, attempt); // servers may answer less than was asked for
    return bytes;
  }

  async close(): Promise<void> {}

  private async request(offset: number, length: number, signal?: AbortSignal): Promise<Response> {
    const response = await request(this.name, { range: [offset, offset + length - 1] }, this.http, signal);
    const range = response.status === 206 ? contentRange(response) : null;
    if (range && range.begin === offset && range.total === this.size && !this.changed(response))
      return response;
    await discard(response);
    throw new EdgeError(
      'NETWORK',
      `${this.name}: bytes ${offset} to ${offset + length} of ${this.size} were asked for, the server answered ` +
        `${response.status} with Content-Range '${response.headers.get('content-range') ?? 'none'}'; ` +
        'it changed the file or stopped serving ranges: load again',
    );
  }

  private changed(response: Response): boolean {
    const etag = response.headers.get('etag');
    return etag !== null && this.etag !== null && etag !== this.etag;
  }
}

/**
 * Opens a URL for ranged reads; null where the server knows no such file. A small file comes whole in the first answer.
 * A server that ignores ranges, or hides Content-Range from pages of other origins, is asked for the whole file, which is
 * then kept in memory; so is what is asked for as a whole.
 */
export async function openUrl(
  url: string,
  signal?: AbortSignal,
  http: HttpOptions = {},
  ask: 'ranges' | 'whole' = 'ranges',
): Promise<RemoteFile | null> {
  return persist(http, signal, () => tryOpen(url, http, ask, signal));
}

async function tryOpen(
  url: string,
  http: HttpOptions,
  ask: 'ranges' | 'whole',
  signal?: AbortSignal,
): Promise<RemoteFile | null> {
  const { small = SMALL } = http;
  const response = await request(url, ask === 'whole' ? {} : { range: [0, small - 1] }, http, signal);
  const version = response.headers.get('etag') ?? response.headers.get('last-modified');
  const memory = (bytes: Uint8Array) => ({ source: new MemorySource(url, bytes), version });
  if (response.status === 404 || response.status === 410 || isFallbackPage(url, response)) {
    await discard(response);
    return null;
  }
  const range = contentRange(response);
  if (response.status === 416 && range?.total === 0) {
    await discard(response);
    return memory(new Uint8Array(0));
  }
  if (response.status === 200) return memory(await readWhole(url, response, http, signal));
  if (response.status !== 206) {
    await discard(response);
    throw new EdgeError('NETWORK', `${url}: ${answered(response)}`);
  }
  if (range && range.total !== null && range.begin === 0) {
    const { end, total } = range;
    const head = await collect(url, response, total <= small ? end : Math.min(HEAD, end), end, http, signal);
    if (head.length === total) return memory(head);
    return { source: new RangeSource(url, total, head, response.headers.get('etag'), http), version };
  }
  await discard(response);
  const whole = await request(url, {}, http, signal);
  if (whole.status === 200) return memory(await readWhole(url, whole, http, signal));
  await discard(whole);
  throw new EdgeError('NETWORK', `${url}: ${answered(whole)}`);
}

/** Opens a `blob:` or `data:` URL, whose bytes are here already. */
export async function openBlobUrl(url: string, signal?: AbortSignal): Promise<ByteSource> {
  const response = await request(url, {}, {}, signal);
  return new BlobSource(url.slice(0, 80), await response.blob());
}

/** Development servers answer a page where a file is missing. */
function isFallbackPage(url: string, response: Response): boolean {
  const type = response.headers.get('content-type') ?? '';
  return response.ok && type.startsWith('text/html') && !/\.html?$/i.test(url);
}

/** Bytes [begin, end) of `total`. */
function contentRange(response: Response): { begin: number; end: number; total: number | null } | null {
  const text = response.headers.get('content-range') ?? '';
  const match = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(text.trim());
  if (!match) return null;
  const total = match[3] === '*' ? null : Number(match[3]);
  if (total !== null && !Number.isSafeInteger(total)) return null;
  const [begin, end] = [Number(match[1] ?? 0), Number(match[2] ?? -1) + 1];
  return total !== null && end > total ? null : { begin, end, total };
}

function readWhole(
  url: string,
  response: Response,
  http: HttpOptions,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  // The length of an encoded body is not that of the file.
  const encoded = response.headers.get('content-encoding') ?? 'identity';
  const declared = encoded === 'identity' ? response.headers.get('content-length') : null;
  const length = declared !== null && /^\d{1,15}$/.test(declared) ? Number(declared) : null;
  return collect(url, response, length ?? GROWTH, length, http, signal);
}

/** The first `expected` bytes of a body that has `announced`; where that is null, all of it, which may be more. */
async function collect(
  url: string,
  response: Response,
  expected: number,
  announced: number | null,
  http: HttpOptions,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  let filled = 0;
  let bytes: Uint8Array;
  try {
    bytes = allocate(url, expected);
  } catch (error) {
    await discard(response);
    throw error;
  }
  await readBody(url, response, http, signal, (piece) => {
    if (filled + piece.length > bytes.length) {
      if (expected === announced) throw tooLong(url, expected);
      if (announced === null) {
        const grown = allocate(url, Math.max(2 * bytes.length, filled + piece.length));
        grown.set(bytes.subarray(0, filled));
        bytes = grown;
      }
    }
    const taken = piece.subarray(0, bytes.length - filled);
    bytes.set(taken, filled);
    filled += taken.length;
    return announced === null || expected === announced || filled < expected;
  });
  if (announced !== null && filled !== expected) throw shortBody(url, expected, filled);
  return bytes.subarray(0, filled);
}

function tooLong(url: string, expected: number): EdgeError {
  return new EdgeError('NETWORK', `${url}: ${expected} bytes were announced, more came; load again`);
}

function allocate(url: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new EdgeError('OUT_OF_MEMORY', `${url}: no memory for its ${length} bytes`, { cause });
  }
}
