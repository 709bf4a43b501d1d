import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { BlobSource, blobFileSet } from '../../src/io/blob.ts';
import { embeddedFileSet, openFileSet } from '../../src/io/fileset.ts';
import { MemorySource } from '../../src/io/memory.ts';
import type { ByteSource } from '../../src/io/types.ts';
import * as browser from '../../src/runtime/files.browser.ts';
import * as node from '../../src/runtime/files.node.ts';
import { memoryFileSet } from '../helpers/memory_files.ts';
import { expectError } from '../weights/files.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-io-'));
afterAll(() => rmSync(folder, { recursive: true }));

const data = Uint8Array.from({ length: 5000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
const path = join(folder, 'data.bin');
writeFileSync(path, data);

async function fileSource(): Promise<ByteSource> {
  const set = await openFileSet(folder);
  return (await set.open('data.bin'))!;
}

describe('every source', () => {
  test.each<[string, () => ByteSource | Promise<ByteSource>]>([
    ['memory', () => new MemorySource('data.bin', data)],
    ['blob', () => new BlobSource('data.bin', new Blob([data]))],
    ['file', fileSource],
  ])('%s reads exact ranges and refuses others', async (name, open) => {
    const source = await open();
    expect(source.size).toBe(5000);
    for (const [offset, length] of [
      [0, 0],
      [0, 1],
      [7, 100],
      [4999, 1],
      [5000, 0],
      [0, 5000],
    ] as const)
      expect([...(await source.read(offset, length))]).toEqual([...data.subarray(offset, offset + length)]);
    for (const [offset, length] of [
      [0, 0],
      [7, 100],
      [0, 5000],
    ] as const) {
      expect(source.readInto !== undefined).toBe(name === 'file');
      const into = new Uint8Array(length);
      await source.readInto?.(offset, into);
      if (source.readInto) expect([...into]).toEqual([...data.subarray(offset, offset + length)]);
    }
    if (source.readInto)
      await expectError(() => source.readInto!(1, new Uint8Array(5000)), 'INVALID_FILE', /data\.bin/);
    for (const [offset, length] of [
      [0, 5001],
      [5000, 1],
      [5001, 0],
      [-1, 2],
      [0, -1],
      [2 ** 60, 1],
      [0, 2 ** 60],
      [Number.NaN, 1],
      [0.5, 1],
    ] as const)
      await expectError(() => source.read(offset, length), 'INVALID_FILE', /data\.bin/, /5000/);
    await expectError(() => source.read(0, 1, AbortSignal.abort()), 'ABORTED');
    await source.close();
  });

  test('concurrent reads do not disturb each other', async () => {
    const source = await fileSource();
    const parts = await Promise.all(Array.from({ length: 50 }, (_, i) => source.read(100 * i, 100)));
    expect(parts.flatMap((part) => [...part])).toEqual([...data]);
    await source.close();
  });

  test('a file that shrinks is noticed', async () => {
    const shrinking = join(folder, 'shrinking.bin');
    writeFileSync(shrinking, data);
    const source = (await (await openFileSet(folder)).open('shrinking.bin'))!;
    truncateSync(shrinking, 100);
    for (const read of [() => source.read(50, 100), () => source.readInto!(50, new Uint8Array(100))])
      await expectError(read, 'INVALID_FILE', /shrinking\.bin/, /it has 100/);
    await source.close();
    rmSync(shrinking);
  });
});

describe('file sets', () => {
  test('a directory: files, no folders, nothing outside', async () => {
    const model = join(folder, 'model');
    mkdirSync(join(model, 'sub'), { recursive: true });
    writeFileSync(join(model, 'a.json'), '{}');
    symlinkSync(path, join(model, 'linked.bin')); // as download caches have them
    for (const set of [
      await openFileSet(model),
      await openFileSet(pathToFileURL(model)),
      await openFileSet(`${model}/`),
    ]) {
      expect(set.main).toBeUndefined();
      expect(await set.list()).toEqual(['a.json', 'linked.bin', 'sub']);
      const source = (await set.open('linked.bin'))!;
      expect(source.size).toBe(5000);
      await source.close();
      for (const missing of ['b.json', 'sub', 'a.jso']) expect(await set.open(missing)).toBeNull();
      for (const outside of [
        '../data.bin',
        '/etc/hostname',
        'sub/../a.json',
        '..',
        '.',
        '',
        'a\0b',
        'C:\\x',
        '..\\data.bin',
      ])
        await expectError(() => set.open(outside), 'INVALID_FILE', /plain file name/);
    }
    const one = await openFileSet(join(model, 'a.json'));
    expect(one.main).toBe('a.json');
    const sibling = (await one.open('linked.bin'))!;
    expect(sibling.size).toBe(5000);
    await sibling.close();
  });

  test('what does not exist or is no location is named', async () => {
    await expectError(() => openFileSet(join(folder, 'nothing')), 'NOT_FOUND', /nothing/);
    await expectError(() => openFileSet(join(path, 'below-a-file')), 'NOT_FOUND', /below-a-file/);
    await expectError(() => openFileSet('x'.repeat(5000)), 'NOT_FOUND');
    await expectError(() => openFileSet('hf:name'), 'INVALID_ARGUMENT', /hf:organization/);
    await expectError(() => openFileSet('ftp://host/x'), 'INVALID_ARGUMENT', /ftp: is not|'ftp:' is not/);
    await expectError(() => openFileSet('http://'), 'INVALID_ARGUMENT', /URL/);
    await expectError(() => openFileSet('file://host/x%'), 'INVALID_ARGUMENT');
  });

  test('blobs: by name; one alone is the model', async () => {
    const set = await openFileSet([new File([data], 'x.bin'), new File(['{}'], 'config.json')]);
    expect(await set.list()).toEqual(['config.json', 'x.bin']);
    expect(set.main).toBeUndefined();
    expect((await set.open('x.bin'))?.size).toBe(5000);
    expect(await set.open('y.bin')).toBeNull();
    const nameless = await openFileSet(new Blob([data]));
    expect(nameless.main).toBe('model.safetensors');
    expect((await openFileSet(new File([data], 'weights 1/2.gguf'))).main).toBe('weights 1/2.gguf');
    await expectError(() => openFileSet([]), 'INVALID_ARGUMENT', /empty/);
    await expectError(
      async () =>
        blobFileSet([
          { name: 'a', blob: new Blob([]) },
          { name: 'a', blob: new Blob([]) },
        ]),
      'INVALID_ARGUMENT',
      /'a'/,
    );
  });

  test('a blob that can no longer be read is named', async () => {
    const gone = new Blob([data]);
    gone.slice = () =>
      ({
        arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')),
      }) as unknown as Blob;
    await expectError(() => new BlobSource('model.gguf', gone).read(0, 1), 'NOT_FOUND', /model\.gguf/);
  });

  test('memory, and the embedded model where it is first found', async () => {
    const set = memoryFileSet({ 'b.bin': data, 'a.bin': data });
    expect(await set.list()).toEqual(['a.bin', 'b.bin']);
    expect(await set.open('c.bin')).toBeNull();
    const absent = pathToFileURL(join(folder, 'absent')).href;
    const embedded = embeddedFileSet([absent, pathToFileURL(path).href]);
    const source = (await embedded.open(embedded.main!))!;
    expect([...(await source.read(0, 3))]).toEqual([...data.subarray(0, 3)]);
    await source.close();
    expect(await embedded.open('y.bin')).toBeNull();
    for (const [urls, where] of [
      [[absent], /at file:.*absent.*Copy .*tiny\.safetensors/],
      [[], /at no URL.*Copy/],
    ] as const)
      await expectError(() => embeddedFileSet(urls).open(embedded.main!), 'NOT_FOUND', where);
  });
});

describe('local files', () => {
  test('an atomic write replaces all or nothing', async () => {
    const target = join(folder, 'out.bin');
    const inner = node.splitPath(target).directory;
    await node.writeFileAtomic(target, [data.subarray(0, 10), data.subarray(10)]);
    expect(createHash('sha1').update(readFileSync(target)).digest('hex')).toBe(
      createHash('sha1').update(data).digest('hex'),
    );
    const before = readdirSync(inner);
    async function* breaking() {
      yield data;
      throw new Error('broken');
    }
    await expect(node.writeFileAtomic(target, breaking())).rejects.toThrow('broken');
    expect(readFileSync(target).length).toBe(5000);
    expect(readdirSync(inner)).toEqual(before);
    await expectError(
      () => node.writeFileAtomic(join(folder, 'no', 'such', 'x'), [data]),
      'NOT_FOUND',
      /directory/,
    );
    expect(existsSync(join(folder, 'no'))).toBe(false);
  });

  test('both runtimes export the same; browsers have no paths', async () => {
    expect(Object.keys(browser).sort()).toEqual(Object.keys(node).sort());
    for (const call of [
      () => browser.openFile('/x'),
      () => browser.statPath('/x'),
      () => browser.listDirectory('/x'),
      () => browser.writeFileAtomic('/x', []),
      () => browser.pathOfFileUrl('/x'),
      () => browser.joinPath('/x', 'y'),
      () => browser.splitPath('/x'),
      () => browser.openScratch('/x'),
      () => browser.removePath('/x'),
    ])
      await expectError(call, 'NOT_FOUND', /'\/x'/, /no paths in browsers/);
  });
});
