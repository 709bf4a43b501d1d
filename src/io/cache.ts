import {
  fileDigest,
  joinPath,
  listDirectory,
  openScratch,
  removePath,
  type ScratchFile,
  sha256,
  splitPath,
  writeFileAtomic,
} from '#runtime';
import { EdgeError } from '../errors.ts';
import { BLOCK, BlockSource, type BlockStore } from './blocks.ts';
import { openFileSource } from './file.ts';
import type { ByteSource } from './types.ts';
import type { RemoteFile } from './url.ts';

/** The description of a file in the cache. */
export interface CachedFile {
  url: string;
  version: string; // ETag or date
  size: number; // bytes
  sha256: string | null; // what the hub says, else what was found; null where a browser could not tell
}

export interface CacheEntry extends CachedFile {
  folder: string; // within the cache
  name: string; // of its files, without ending
}

const MOST_META = 64 * 1024; // bytes

/**
 * Files that were fetched, in a folder. Each version of a URL is a sparse file of blocks, a byte for each block that
 * is there, and once all are, a description: `<url>/<version>.data`, `.blocks`, `.json`, both names being hashes.
 * Processes may share it without locks: they write the same bytes, data before marks, and the description is renamed
 * into place.
 */
export class FileCache {
  constructor(private readonly root: string) {}

  /** `remote`, through the cache. `expected` is the SHA-256 that the file must have, if that is known. */
  async through(url: string, { source, version }: RemoteFile, expected: string | null): Promise<ByteSource> {
    if (version === null || source.size === 0) return new BlockSource(source, null);
    const folder = joinPath(this.root, await hash(url, 32));
    const name = await hash(`${version} ${source.size}`, 16);
    const cached = await this.whole(folder, name, expected).catch(() => null); // it may not be read
    if (cached) {
      await source.close();
      return cached;
    }
    const file: CachedFile = { url, version, size: source.size, sha256: expected };
    const store = await DiskStore.open(joinPath(folder, name), file).catch(() => null); // no room, or no right
    return new BlockSource(source, store);
  }

  /** A file that is there in full. */
  private async whole(folder: string, name: string, expected: string | null): Promise<ByteSource | null> {
    const known = await this.describe(folder, name);
    const source = known && (await openFileSource(`${joinPath(folder, name)}.data`));
    if (source?.size === known?.size && (expected === null || known?.sha256 === expected)) return source;
    await source?.close();
    return null;
  }

  /** The newest whole file of a URL. */
  async newest(url: string): Promise<ByteSource | null> {
    const folder = joinPath(this.root, await hash(url, 32));
    for (const name of await this.names(folder)) {
      const source = await this.whole(folder, name, null);
      if (source) return source;
    }
    return null;
  }

  async list(): Promise<CacheEntry[]> {
    const entries: CacheEntry[] = [];
    for (const folder of (await listDirectory(this.root)) ?? []) {
      const path = joinPath(this.root, folder);
      for (const name of await this.names(path)) {
        const known = await this.describe(path, name);
        if (known) entries.push({ ...known, folder, name });
      }
    }
    return entries.sort((a, b) => (a.url < b.url ? -1 : 1));
  }

  async remove({ folder, name }: CacheEntry): Promise<void> {
    const path = joinPath(joinPath(this.root, folder), name);
    for (const ending of ['json', 'data', 'blocks']) await removePath(`${path}.${ending}`);
  }

  /** Does the file hold what it held when it was fetched? */
  async verify({ folder, name, size, sha256 }: CacheEntry): Promise<boolean> {
    const path = `${joinPath(joinPath(this.root, folder), name)}.data`;
    const file = await openFileSource(path);
    await file?.close();
    return file?.size === size && (await fileDigest(path)) === sha256;
  }

  /** Forgets everything, what is not whole too. */
  async clear(): Promise<void> {
    for (const folder of (await listDirectory(this.root)) ?? [])
      if (/^[0-9a-f]{32}$/.test(folder)) await removePath(joinPath(this.root, folder));
  }

  private async names(folder: string): Promise<string[]> {
    const files = (await listDirectory(folder)) ?? [];
    return files.flatMap((file) => /^([0-9a-f]{16})\.json$/.exec(file)?.[1] ?? []);
  }

  private async describe(folder: string, name: string): Promise<CachedFile | null> {
    const source = await openFileSource(`${joinPath(folder, name)}.json`);
    if (!source) return null;
    try {
      if (source.size > MOST_META) return null;
      const text = new TextDecoder().decode(await source.read(0, source.size));
      const { url, version, size, sha256 } = JSON.parse(text) as CachedFile;
      return typeof url === 'string' && Number.isSafeInteger(size) ? { url, version, size, sha256 } : null;
    } catch {
      return null; // as if it were not there: it is written again
    } finally {
      await source.close();
    }
  }
}

/** Blocks of one version of a file. */
class DiskStore implements BlockStore {
  private failed = false; // the disk is full, or gone: what is not kept is fetched again another time

  private constructor(
    private readonly path: string,
    private readonly file: CachedFile,
    private readonly data: ScratchFile,
    private readonly marks: ScratchFile,
    private readonly present: Uint8Array, // a byte of each block
  ) {}

  static async open(path: string, file: CachedFile): Promise<DiskStore> {
    const data = await openScratch(`${path}.data`);
    try {
      const marks = await openScratch(`${path}.blocks`);
      const present = new Uint8Array(Math.ceil(file.size / BLOCK));
      present.set((await marks.read(0, present.length)).map((mark) => (mark === 1 ? 1 : 0)));
      const end = Math.min(file.size, BLOCK * (present.lastIndexOf(1) + 1));
      if (data.size < end) {
        present.fill(0); // somebody cut the file
        await marks.write(0, present);
      }
      return new DiskStore(path, file, data, marks, present);
    } catch (error) {
      await data.close();
      throw error;
    }
  }

  has(block: number): boolean {
    return this.present[block] === 1;
  }

  async read(block: number, length: number): Promise<Uint8Array | null> {
    const bytes = await this.data.read(block * BLOCK, length).catch(() => null);
    if (bytes?.length === length) return bytes;
    this.present[block] = 0; // somebody cut the file
    return null;
  }

  async write(block: number, bytes: Uint8Array): Promise<void> {
    if (this.failed) return;
    try {
      await this.data.write(block * BLOCK, bytes);
      await this.marks.write(block, Uint8Array.of(1));
      this.present[block] = 1;
    } catch {
      this.failed = true;
    }
  }

  async close(complete: boolean): Promise<void> {
    const closed = await Promise.allSettled([this.data.close(), this.marks.close()]);
    if (!complete || this.failed || closed.some(({ status }) => status === 'rejected')) return;
    const found = await fileDigest(`${this.path}.data`).catch(() => undefined);
    if (found === undefined) return; // another process refused it
    const expected = this.file.sha256;
    if (found !== null && expected !== null && found !== expected) {
      for (const ending of ['blocks', 'data']) await removePath(`${this.path}.${ending}`);
      throw new EdgeError(
        'NETWORK',
        `${this.file.url}: what came has the SHA-256 ${found}, the hub says ${expected}; it was not kept: load again`,
      );
    }
    await this.describe({ ...this.file, sha256: found ?? expected }).catch(() => {}); // another time
  }

  /** Says that it is whole, and removes earlier versions of the same URL. */
  private async describe(file: CachedFile): Promise<void> {
    await writeFileAtomic(`${this.path}.json`, [new TextEncoder().encode(JSON.stringify(file))]);
    await removePath(`${this.path}.blocks`);
    const { directory, file: name } = splitPath(this.path);
    for (const other of (await listDirectory(directory)) ?? [])
      if (!other.includes(name)) await removePath(joinPath(directory, other));
  }
}

async function hash(text: string, digits: number): Promise<string> {
  return (await sha256(new TextEncoder().encode(text))).slice(0, digits);
}
