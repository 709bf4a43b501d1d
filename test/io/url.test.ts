import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFileSet } from '../../src/io/fileset.ts';
import type { ByteSource } from '../../src/io/types.ts';
import { openUrl } from '../../src/io/url.ts';
import { expectError } from '../weights/files.ts';

const data = Uint8Array.from({ length: 600_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
const requests: string[] = [];
let server: Server;
let base = '';

type Handler = (request: IncomingMessage, response: ServerResponse, range: [number, number] | null) => void;

/** An honest server of ranges, but for what `lie` changes. */
function ranged(
  bytes: Uint8Array,
  lie: { contentRange?: string | null; cut?: number; status?: number; etag?: () => string } = {},
): Handler {
  return (_, response, range) => {
    const etag = lie.etag?.();
    if (!range) return void response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
    const [begin, last] = [range[0], Math.min(range[1], bytes.length - 1)];
    if (begin >= bytes.length)
      return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    const contentRange =
      lie.contentRange === undefined ? `bytes ${begin}-${last}/${bytes.length}` : lie.contentRange;
    response.writeHead(lie.status ?? 206, {
      ...(contentRange !== null && { 'content-range': contentRange }),
      ...(etag && { etag }),
    });
    response.end(bytes.subarray(begin, last + 1 - (lie.cut ?? 0)));
  };
}

let version = 0;
const handlers: Record<string, Handler> = {
  '/ranged.bin': ranged(data),
  '/small.json': ranged(new TextEncoder().encode('{"a":1}')),
  '/empty.bin': ranged(new Uint8Array(0)),
  '/whole.bin': (_, response) => response.writeHead(200, { 'content-length': data.length }).end(data),
  '/chunked.bin': (_, response) => response.writeHead(200).end(data),
  '/gzip.bin': (_, response) => {
    const body = gzipSync(data);
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length }).end(body);
  },
  '/hidden.bin': ranged(data, { contentRange: null }),
  '/unknown-total.bin': ranged(data, { contentRange: 'bytes 0-9/*' }),
  '/changing.bin': ranged(data, { etag: () => `"${version++}"` }),
  '/short-range.bin': ranged(data, { cut: 1 }),
  '/wrong-start.bin': (request, response, range) =>
    range?.[0]
      ? ranged(data, { contentRange: `bytes 0-9/${data.length}` })(request, response, range)
      : ranged(data)(request, response, range),
  '/stops-ranging.bin': (request, response, range) =>
    range?.[0] ? void response.writeHead(200).end(data) : ranged(data)(request, response, range),
  '/breaks.bin': (_, response) => {
    response.writeHead(200, { 'content-length': data.length });
    response.write(data.subarray(0, 1000), () => response.destroy());
  },
  '/huge.bin': (_, response) => {
    response.writeHead(200, { 'content-length': 9e14 });
    response.write(data.subarray(0, 1000)); // and waits
  },
  '/slow.bin': (_, response) =>
    void response.writeHead(200, { 'content-length': data.length }).write(data.subarray(0, 1000)),
  '/page.json': (_, response) =>
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>'),
  '/secret.bin': (_, response) => response.writeHead(403).end('no'),
  '/broken.bin': (_, response) => response.writeHead(500).end('oops'),
  '/gone.bin': (_, response) => response.writeHead(410).end(),
  '/moved.bin': (_, response) => response.writeHead(302, { location: '/ranged.bin' }).end(),
};

beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://x');
    requests.push(`${request.url} ${request.headers.range ?? 'whole'}`);
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const handler =
      handlers[pathname] ?? ((_: IncomingMessage, r: ServerResponse) => r.writeHead(404).end('not here'));
    handler(request, response, match && [Number(match[1]), Number(match[2])]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const ONCE = { retries: 0, small: 262_144 };
const open = async (name: string): Promise<ByteSource> =>
  (await openUrl(`${base}/${name}`, undefined, ONCE))!.source;

describe('a URL', () => {
  test.each([
    'ranged.bin',
    'whole.bin',
    'chunked.bin',
    'gzip.bin',
    'hidden.bin',
    'unknown-total.bin',
    'moved.bin',
  ])('%s is read exactly', async (name) => {
    const source = await open(name);
    expect(source.size).toBe(data.length);
    for (const [offset, length] of [
      [0, 10],
      [262_140, 10],
      [599_990, 10],
      [0, 600_000],
      [600_000, 0],
    ] as const)
      expect(Buffer.compare(await source.read(offset, length), data.subarray(offset, offset + length))).toBe(
        0,
      );
    await expectError(() => source.read(599_999, 2), 'INVALID_FILE', new RegExp(name), /600000/);
  });

  test('ranges ask for what is read and no more; small files take one request', async () => {
    requests.length = 0;
    const source = await open('ranged.bin');
    await source.read(100, 50);
    await source.read(500_000, 1000);
    const small = await open('small.json');
    expect(new TextDecoder().decode(await small.read(0, small.size))).toBe('{"a":1}');
    expect(requests).toEqual([
      '/ranged.bin bytes=0-262143',
      '/ranged.bin bytes=500000-500999',
      '/small.json bytes=0-262143',
    ]);
    expect((await open('empty.bin')).size).toBe(0);
  });

  test('what is not there is null, what fails says how', async () => {
    for (const name of ['missing.bin', 'gone.bin', 'page.json'])
      expect(await openUrl(`${base}/${name}`)).toBeNull();
    await expectError(() => open('secret.bin'), 'NETWORK', /secret\.bin/, /403/);
    await expectError(() => open('broken.bin'), 'NETWORK', /broken\.bin/, /500/);
    await expectError(() => openUrl('http://127.0.0.1:1/x', undefined, ONCE), 'NETWORK', /127\.0\.0\.1:1/);
  });

  test('servers that lie or break off are caught', async () => {
    await expectError(() => open('breaks.bin'), 'NETWORK', /breaks\.bin/);
    await expectError(
      () => open('short-range.bin'),
      'NETWORK',
      /short-range\.bin/,
      /262144 bytes were announced, 262143 came/,
    );
    await expectError(() => open('huge.bin'), 'OUT_OF_MEMORY', /huge\.bin/);
    for (const name of ['changing.bin', 'wrong-start.bin', 'stops-ranging.bin']) {
      const source = await open(name);
      await expectError(() => source.read(300_000, 10), 'NETWORK', new RegExp(name), /load again/);
    }
  });

  test('an abort ends a transfer', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort('enough'), 50);
    await expectError(() => openUrl(`${base}/slow.bin`, controller.signal), 'ABORTED');
    await expectError(() => openUrl(`${base}/ranged.bin`, AbortSignal.abort()), 'ABORTED');
    const source = await open('ranged.bin');
    await expectError(() => source.read(300_000, 10, AbortSignal.abort()), 'ABORTED');
  });
});

describe('a set of URLs', () => {
  test('a base, with or without a slash', async () => {
    for (const location of [base, `${base}/`, new URL(base)]) {
      const set = await openFileSet(location);
      expect((await set.open('small.json'))?.size).toBe(7);
      expect(await set.open('missing.json')).toBeNull();
      expect(await set.list()).toBeNull();
      await expectError(() => set.open('../x'), 'INVALID_FILE', /plain file name/);
    }
  });

  test('a file keeps its query; its siblings do not get it', async () => {
    requests.length = 0;
    const set = await openFileSet(`${base}/whole.bin?token=1#part`);
    expect(set.main).toBe('whole.bin');
    await set.open('whole.bin');
    await set.open('small.json');
    expect(requests.map((line) => line.split(' ')[0])).toEqual(['/whole.bin?token=1', '/small.json']);
  });

  test('data: and blob: URLs are one file', async () => {
    const blob = URL.createObjectURL(new Blob([data]));
    for (const [location, size] of [
      ['data:application/octet-stream;base64,AAEC', 3],
      [blob, data.length],
    ] as const) {
      const set = await openFileSet(location);
      const source = (await set.open(set.main!))!;
      expect(source.size).toBe(size);
    }
    URL.revokeObjectURL(blob);
  });
});
