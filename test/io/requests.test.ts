import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { load } from '../../src/index.ts';
import { Downloads } from '../../src/io/download.ts';
import { embeddedFileSet, openFileSet } from '../../src/io/fileset.ts';
import { openCheckpoint } from '../../src/weights/checkpoint.ts';

const path = (from: string) => fileURLToPath(new URL(`../../${from}`, import.meta.url));
const MIB = 2 ** 20;
const large = new Uint8Array(40 * MIB).map((_, i) => (i * 7 + (i >> 12)) & 255);

/** A server that answers once nobody asks for more: what is asked for before an answer is one round. */
let server: Server;
let base = '';
let ranges = true;
let rounds = 0;
let quiet = 0; // turns of the event loop, which clients run in too, since the last request
const held: (() => void)[] = [];
const requests: string[] = [];

function hold(answer: () => void): void {
  quiet = 0;
  if (held.push(answer) === 1) setImmediate(release);
}

function release(): void {
  if (quiet++ < 100) return void setImmediate(release);
  rounds += 1;
  for (const answer of held.splice(0)) answer();
}

beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://x');
    requests.push(`${pathname} ${request.headers.range ?? 'whole'}`);
    hold(() => {
      const bytes = contents(pathname);
      if (!bytes) return void response.writeHead(404).end();
      const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
      if (!match || !ranges)
        return void response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
      const [begin, last] = [Number(match[1]), Math.min(Number(match[2]), bytes.length - 1)];
      response.writeHead(206, { etag: '"1"', 'content-range': `bytes ${begin}-${last}/${bytes.length}` });
      response.end(bytes.subarray(begin, last + 1));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterEach(() => {
  requests.length = 0;
  rounds = 0;
  ranges = true;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function contents(pathname: string): Uint8Array | null {
  if (pathname === '/large.gguf') return large;
  if (pathname === '/tiny.safetensors') return readFileSync(path('dist/tiny.safetensors'));
  try {
    return readFileSync(path(`models/tiny${pathname}`));
  } catch {
    return null;
  }
}

/** Weights and sidecars of a model by URL. */
const weights = () => requests.filter((line) => line.includes('safetensors '));

describe('a link whose answers take long', () => {
  test('the embedded model: one request', async () => {
    const files = embeddedFileSet([`${base}tiny.safetensors`]);
    const checkpoint = await openCheckpoint(files);
    for (const tensor of checkpoint.tensors.values()) await tensor.read(0, tensor.rows);
    expect(checkpoint.tokenizer).not.toBeNull();
    await checkpoint.close();
    expect(requests).toEqual(['/tiny.safetensors whole']);
  });

  test.each([true, false])('a small model by URL, ranges served: %s: one request a file', async (served) => {
    ranges = served;
    for (const location of [`${base}`, `${base}tiny.safetensors`]) {
      requests.length = 0;
      rounds = 0;
      const model = await load(location, { threads: 1, worker: false, download: { cache: false } });
      const { text } = await model.generate('Once upon a time', { maxTokens: 8 }).result();
      expect(text.length).toBeGreaterThan(10);
      await model.dispose();
      expect(weights().length).toBe(1);
      expect(new Set(requests).size).toBe(requests.length); // each file once
      expect(rounds).toBeLessThanOrEqual(6); // weights, what lies beside them, templates
    }
  });

  test.each([
    ['from begin to end', Array.from({ length: 320 }, (_, i) => i)],
    [
      'in another order than they lie',
      [...Array(320).keys()].map((i) => ((i >> 5) * 7 * 32 + (i & 31)) % 320),
    ],
  ])('a large file, small parts read %s: several blocks a round', async (_, order) => {
    const source = (await new Downloads({ cache: false }).open(`${base}large.gguf`))!;
    const part = large.length / 320;
    for (const i of order)
      expect(
        Buffer.compare(await source.read(i * part, part), large.subarray(i * part, (i + 1) * part)),
      ).toBe(0);
    await source.close();
    expect(requests.length).toBeLessThanOrEqual(2 * 40); // no more is fetched in vain than is read
    expect(rounds).toBeLessThanOrEqual(30);
  });
});

test('the embedded model as one file is the folder that it was made of', async () => {
  const one = await openCheckpoint(embeddedFileSet([pathToFileURL(path('dist/tiny.safetensors')).href]));
  const folder = await openCheckpoint(await openFileSet(path('models/tiny')));
  const { container, config, tokenizer, tokenizerConfig, generationConfig } = folder;
  expect(one).toMatchObject({ container, config, tokenizer, tokenizerConfig, generationConfig });
  expect(await one.fingerprint()).toBe(await folder.fingerprint());
  await one.close();
  await folder.close();
});
