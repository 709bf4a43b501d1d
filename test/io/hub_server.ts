import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { FileCache } from '../../src/io/cache.ts';
import { Downloads } from '../../src/io/download.ts';
import { hubFileSet } from '../../src/io/hub.ts';
import type { ByteSource, DownloadOptions, FileSet } from '../../src/io/types.ts';

export const SIZE = 20 * 2 ** 20 + 12_345;
export const data = Uint8Array.from({ length: SIZE }, (_, i) => (i * 31 + (i >> 8)) & 255);
export const digest = createHash('sha256').update(data).digest('hex');
const QUICK = { retries: 3, retryMs: 1, small: 262_144 };

interface Request {
  path: string;
  begin: number;
  length: number;
  token: string | undefined;
}
export type Fault = (request: Request, response: ServerResponse, range: [number, number]) => boolean;

/** A hub with one public and one private model, whose large file lies elsewhere; anew for each test of a file. */
export class Hub {
  readonly folder = mkdtempSync(join(tmpdir(), 'edge-ssm-hub-'));
  seen: Request[] = [];
  fault: Fault = () => false; // answers in place of the server
  etag = '"one"';
  sha256: string | null = null; // that the hub tells
  stallMs = 30_000; // of those who ask
  endpoint = '';
  private opened: ByteSource[] = [];
  private readonly server: Server = createServer((request, response) => this.serve(request, response));

  constructor() {
    beforeAll(async () => {
      await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
      this.endpoint = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    });
    afterAll(() => {
      this.server.closeAllConnections();
      this.server.close();
      rmSync(this.folder, { recursive: true });
    });
    afterEach(async () => {
      await Promise.allSettled(this.opened.splice(0).map((source) => source.close())); // none is left to the collector
      Object.assign(this, { seen: [], fault: () => false, etag: '"one"', sha256: null, stallMs: 30_000 });
      rmSync(this.cacheFolder, { recursive: true, force: true });
    });
  }

  get cacheFolder(): string {
    return join(this.folder, 'cache');
  }

  get cache(): FileCache {
    return new FileCache(this.cacheFolder);
  }

  set(options: DownloadOptions = {}, location = 'hf:org/model'): FileSet {
    const { endpoint, cacheFolder, stallMs } = this;
    return hubFileSet(
      location,
      new Downloads({ endpoint, cache: cacheFolder, ...options }, { ...QUICK, stallMs }),
    );
  }

  async open(set = this.set(), file = 'model.gguf'): Promise<ByteSource> {
    const source = (await set.open(file))!;
    this.opened.push(source);
    return source;
  }

  /** Bytes of the large file that were asked for. */
  asked(): number {
    return this.seen
      .filter(({ path }) => path.startsWith('/cdn'))
      .reduce((sum, { length }) => sum + length, 0);
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(request.url!);
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? ['', '0', String(SIZE - 1)];
    const range: [number, number] = [Number(match[1]), Math.min(Number(match[2]), SIZE - 1)];
    const token = request.headers.authorization;
    const entry = { path, begin: range[0], length: range[1] - range[0] + 1, token };
    this.seen.push(entry);
    if (this.fault(entry, response, range)) return;
    if (path.includes('private') && token !== 'Bearer secret') return void response.writeHead(401).end();
    if (path.startsWith('/api/models/org/model/tree/')) return void response.end(this.listing());
    if (path.endsWith('/config.json')) return void response.writeHead(200, { etag: '"c"' }).end('{}');
    if (path.endsWith('/model.gguf') && !path.startsWith('/cdn'))
      return void response.writeHead(302, { location: '/cdn/model.gguf' }).end();
    if (!path.endsWith('/model.gguf')) return void response.writeHead(404).end();
    response.writeHead(206, { etag: this.etag, 'content-range': `bytes ${range[0]}-${range[1]}/${SIZE}` });
    response.end(data.subarray(range[0], range[1] + 1));
  }

  private listing(): string {
    const { sha256 } = this;
    return JSON.stringify([
      { type: 'directory', path: 'onnx' },
      { type: 'file', path: 'config.json', size: 2 },
      { type: 'file', path: 'model.gguf', size: SIZE, ...(sha256 && { lfs: { oid: sha256 } }) },
    ]);
  }
}

export async function readAll(source: ByteSource, step = 700_000): Promise<void> {
  for (let at = 0; at < SIZE; at += step) {
    const length = Math.min(step, SIZE - at);
    expect(Buffer.compare(await source.read(at, length), data.subarray(at, at + length))).toBe(0);
  }
}
