import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { loadNano, PROMPT } from './models.ts';

const options = { maxTokens: 10, ignoreEos: true };
const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-state-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a conversation is forked, saved, restored, rewound across the worker boundary', async () => {
  const model = await loadNano();
  const session = await model.session();
  await session.append(PROMPT);
  const bytes = await session.save({ dtype: 'f16' });
  const fork = await session.fork();
  expect(fork.position).toBe(session.position);
  const { text } = await session.generate(', a fox', options).result();
  expect((await fork.generate(', a fox', options).result()).text).toBe(text);
  const before = fork.position;
  expect(await fork.rewind({ turn: -1 })).toBeLessThan(before);
  expect((await fork.generate(', a fox', options).result()).text).toBe(text);
  const again = await model.restore(bytes);
  expect((await again.generate(', a fox', options).result()).text).toBe(text);
  await expect(again.rewind({ position: 1e6 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await fork.close();
  await expect(fork.save()).rejects.toMatchObject({ code: 'CLOSED' });
});

test('a saved prompt comes from bytes, blobs, streams, paths and URLs', async () => {
  const model = await loadNano();
  const session = await model.session();
  await session.append(PROMPT);
  const bytes = await session.save();
  const { text } = await session.generate('', options).result();
  const path = join(folder, 'system.state');
  writeFileSync(path, bytes);
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/system.state' ? 200 : 404);
    response.end(request.url === '/system.state' ? bytes : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>]);
  const sources = [bytes, blob, blob.stream(), path, pathToFileURL(path), `${base}/system.state`];
  for (const from of sources) {
    const restored = await model.session({ from });
    expect((await restored.generate('', options).result()).text).toBe(text);
    await restored.close();
  }
  await expect(model.session({ from: `${base}/nothing` })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(model.session({ from: join(folder, 'nothing') })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  server.close();
  await expect(model.session({ from: `${base}/system.state` })).rejects.toMatchObject({ code: 'NETWORK' });
});
