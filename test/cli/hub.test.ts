import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { load } from '../../src/index.ts';

const CLI = fileURLToPath(new URL('../../dist/node/cli.js', import.meta.url));
const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const cache = mkdtempSync(join(tmpdir(), 'edge-ssm-cli-cache-'));
afterAll(() => rmSync(cache, { recursive: true, force: true }));

/** The small model as the hub serves it. */
async function hub() {
  const server = createServer((request, response) => {
    const file = /^\/org\/nano\/resolve\/main\/([\w.]+)$/.exec(request.url!)?.[1];
    if (!file || !readdirSync(NANO).includes(file)) return void response.writeHead(404).end();
    const bytes = readFileSync(join(NANO, file));
    const [, first = 0, last = bytes.length - 1] = (
      /(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
    ).map(Number);
    const end = Math.min(last, bytes.length - 1);
    response.writeHead(206, { etag: `"${file}"`, 'content-range': `bytes ${first}-${end}/${bytes.length}` });
    response.end(bytes.subarray(first, end + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close(),
  };
}

function edgeSsm(endpoint: string, ...args: string[]) {
  const env = { ...process.env, HF_ENDPOINT: endpoint, EDGE_SSM_CACHE: cache };
  return new Promise<{ code: unknown; out: string; err: string }>((resolve) => {
    execFile(process.execPath, [CLI, ...args], { env }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

test('a model of the hub: fetched once, then from the cache, offline too; the cache is listed, verified, emptied', async () => {
  const { endpoint, close } = await hub();
  const line = ['Once upon a time', '--model', 'hf:org/nano', '--max-tokens', '8', '--json'];
  const here = await edgeSsm(endpoint, ...line.slice(0, 2), NANO, ...line.slice(3));
  const first = await edgeSsm(endpoint, ...line);
  expect(JSON.parse(first.out).ids).toEqual(JSON.parse(here.out).ids);
  const remote = await load('hf:org/nano', { download: { endpoint, cache: false } });
  expect((await remote.generate('Once upon a time', { maxTokens: 8 }).result()).text).toBe(
    JSON.parse(here.out).text,
  );
  await remote.dispose();
  close();

  const again = await edgeSsm(endpoint, ...line, '--offline');
  expect(JSON.parse(again.out).ids).toEqual(JSON.parse(here.out).ids);
  const absent = await edgeSsm(endpoint, ...line.slice(0, 2), 'hf:org/other', '--offline');
  expect(absent.err).toMatch(/the cache holds no .*offline.*\[NOT_FOUND\]/);

  const listed = JSON.parse((await edgeSsm(endpoint, 'cache', 'ls', '--json')).out);
  const weights = listed.files.find(({ url }: { url: string }) => url.endsWith('model.safetensors'));
  expect(weights.url).toBe(`${endpoint}/org/nano/resolve/main/model.safetensors`);
  expect((await edgeSsm(endpoint, 'cache', 'ls', 'tokenizer')).out).toMatch(/KiB {2}http.*tokenizer\.json/);
  expect(await edgeSsm(endpoint, 'cache', 'verify')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/as they came/),
  });
  const path = join(cache, weights.folder, `${weights.name}.data`);
  const bytes = readFileSync(path);
  bytes[100]! ^= 1;
  writeFileSync(path, bytes);
  expect(await edgeSsm(endpoint, 'cache', 'verify')).toMatchObject({
    code: 1,
    out: expect.stringMatching(/damaged: .*safetensors/),
  });
  expect((await edgeSsm(endpoint, 'cache', 'rm', 'safetensors')).out).toBe('removed 1 files\n');
  await edgeSsm(endpoint, 'cache', 'rm');
  expect(readdirSync(cache)).toEqual([]);
  expect(await edgeSsm(endpoint, 'cache', 'wash')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/ls, rm and verify/),
  });
}, 60_000);

test('options of downloads that make no sense', async () => {
  for (const [download, message] of [
    [{ token: 5 }, /download\.token must be a string/],
    [{ proxy: 'x' }, /Unknown option download\.proxy/],
    [null, /download must be an object/],
    [{ endpoint: 'ftp://x' }, /endpoint must be an http/],
  ] as const)
    await expect(load('hf:org/nano', { download: download as never })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
});
