import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openFileSet } from '../../src/io/fileset.ts';
import { expectError } from '../weights/files.ts';
import { data, digest, Hub, readAll, SIZE } from './hub_server.ts';

const hub = new Hub();

describe('the hub', () => {
  test('files of a revision, listed and read through redirects; what is not there is null', async () => {
    const set = hub.set({}, 'hf:org/model@refs%2Fpr%2F1');
    expect(await set.list()).toEqual(['config.json', 'model.gguf']);
    const source = await hub.open(set);
    expect(source.size).toBe(SIZE);
    await readAll(source);
    await source.close();
    expect(await set.open('absent.json')).toBeNull();
    expect(hub.seen.map(({ path }) => path)).toContain('/org/model/resolve/refs/pr/1/model.gguf');
    await expectError(() => set.open('../config.json'), 'INVALID_FILE', /plain file name/);
  });

  test('a token goes to the hub; without it the error says what is missing', async () => {
    await expectError(() => hub.open(hub.set({}, 'hf:org/private')), 'NETWORK', /401.*token/);
    const source = await hub.open(hub.set({ token: 'secret' }, 'hf:org/private'));
    await readAll(source);
    expect(hub.seen.filter(({ path }) => path.startsWith('/org')).every(({ token }) => token !== 'x')).toBe(
      true,
    );
    await source.close();
  });

  test('a file of it, and locations that make no sense', async () => {
    expect((await openFileSet('hf:org/model/model.gguf', { endpoint: hub.endpoint })).main).toBe(
      'model.gguf',
    );
    for (const location of [
      'hf:',
      'hf:model',
      'hf:../..',
      'hf:org/model@',
      'hf:org/model/a/b',
      'hf:o rg/model',
    ])
      await expectError(
        () => openFileSet(location, { endpoint: hub.endpoint }),
        'INVALID_ARGUMENT',
        /names no model of the hub/,
      );
    await expectError(
      () => openFileSet('hf:a/b', { endpoint: 'nowhere' }),
      'INVALID_ARGUMENT',
      /endpoint must be/,
    );
  });
});

describe('the cache', () => {
  test('a file is fetched once, several ranges at a time', async () => {
    const held: (() => void)[] = []; // answers, until three are waited for at once
    let together = false;
    hub.fault = ({ path, begin }, response, [first, last]) => {
      if (!path.startsWith('/cdn') || begin === 0) return false;
      held.push(() => {
        response.writeHead(206, { etag: hub.etag, 'content-range': `bytes ${first}-${last}/${SIZE}` });
        response.end(data.subarray(first, last + 1));
      });
      together ||= held.length > 2;
      if (together) for (const answer of held.splice(0)) answer();
      return true;
    };
    for (let i = 0; i < 2; i++) {
      const source = await hub.open();
      await readAll(source);
      await source.close();
    }
    expect(together).toBe(true);
    expect(hub.asked()).toBeLessThan(SIZE + 2 * 262_144 + 1);
    expect(await hub.cache.list()).toMatchObject([{ size: SIZE, sha256: digest }]);
  });

  test('what was interrupted goes on where it was', async () => {
    const first = await hub.open();
    await first.read(0, 2 ** 20);
    await first.close();
    const fetched = hub.asked();
    expect(fetched).toBeLessThan(SIZE);
    const second = await hub.open();
    await readAll(second);
    await second.close();
    expect(hub.asked()).toBeLessThan(SIZE + 3 * 262_144);
    expect(await hub.cache.list()).toHaveLength(1);
  });

  test('what was lost of an interrupted one is fetched again', async () => {
    const first = await hub.open();
    await first.read(0, 2 ** 20);
    await first.close();
    const [only] = readdirSync(hub.cacheFolder);
    const inner = join(hub.cacheFolder, only!);
    const [name] = readdirSync(inner).filter((file) => file.endsWith('.data'));
    truncateSync(join(inner, name!), 1000);
    const second = await hub.open();
    await readAll(second);
    await second.close();
    expect(await hub.cache.verify((await hub.cache.list())[0]!)).toBe(true);
    expect((await hub.cache.list())[0]!.sha256).toBe(digest);
  });

  test('a new version takes the place of the old one', async () => {
    for (const version of ['"one"', '"two"']) {
      hub.etag = version;
      const source = await hub.open();
      await readAll(source);
      await source.close();
    }
    expect(await hub.cache.list()).toMatchObject([{ version: '"two"' }]);
    const [only] = readdirSync(join(hub.folder, 'cache'));
    expect(readdirSync(join(hub.folder, 'cache', only!)).length).toBe(2);
  });

  test('offline: what it holds, and nothing else', async () => {
    const source = await hub.open();
    await readAll(source);
    await source.close();
    await (await hub.open(hub.set(), 'config.json')).close();
    hub.seen = [];
    const offline = hub.set({ offline: true });
    await readAll(await hub.open(offline));
    expect(new TextDecoder().decode(await (await hub.open(offline, 'config.json')).read(0, 2))).toBe('{}');
    expect(await offline.open('tokenizer.json')).toBeNull();
    expect(hub.seen).toEqual([]);
  });

  test('several at the same time share it', async () => {
    const sources = await Promise.all([hub.open(), hub.open(), hub.open()]);
    await Promise.all(sources.map((source, i) => readAll(source, 500_000 + 77_777 * i)));
    await Promise.all(sources.map((source) => source.close()));
    const entries = await hub.cache.list();
    expect(entries).toHaveLength(1);
    expect(await hub.cache.verify(entries[0]!)).toBe(true);
  });

  test('damage is found, damaged notes are nothing, and all of it can be removed', async () => {
    const source = await hub.open();
    await readAll(source);
    await source.close();
    const [entry] = await hub.cache.list();
    const path = join(hub.folder, 'cache', entry!.folder, entry!.name);
    const bytes = readFileSync(`${path}.data`);
    bytes[12_345]! ^= 1;
    writeFileSync(`${path}.data`, bytes);
    expect(await hub.cache.verify(entry!)).toBe(false);
    truncateSync(`${path}.data`, 1000);
    expect(await hub.cache.verify(entry!)).toBe(false);
    const again = await hub.open(); // cut: not taken
    await readAll(again);
    await again.close();
    expect(await hub.cache.verify((await hub.cache.list())[0]!)).toBe(true);
    writeFileSync(`${path}.json`, '{');
    expect(await hub.cache.list()).toEqual([]);
    await hub.cache.clear();
    expect(readdirSync(join(hub.folder, 'cache'))).toEqual([]);
  });

  test('without it, or where it cannot be written, files are read all the same', async () => {
    writeFileSync(join(hub.folder, 'file'), 'no folder');
    for (const where of [false, join(hub.folder, 'file')]) {
      const source = await hub.open(hub.set({ cache: where }));
      await readAll(source);
      await source.close();
    }
  });
});
