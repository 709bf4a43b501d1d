import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EdgeError } from '../errors.ts';
import type { LocalFile, PathStat, ScratchFile } from './files.types.ts';
import { writeAll } from './write_file.node.ts';

export type * from './files.types.ts';
export { makeFolder, writeFileAtomic } from './write_file.node.ts';

const MISSING = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP']);

/** Null where there is nothing at `path`; NOT_FOUND where it may not be looked at. */
export async function statPath(path: string): Promise<PathStat | null> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) return { kind: 'directory', size: 0 };
    return found.isFile() ? { kind: 'file', size: found.size } : null;
  } catch (cause) {
    return missing(path, cause);
  }
}

/** Opens a file for reading; null where there is none. */
export async function openFile(path: string): Promise<LocalFile | null> {
  const found = await statPath(path);
  if (found?.kind !== 'file') return null;
  try {
    const handle = await open(path, 'r');
    return {
      size: found.size,
      read: (at, length) => fill(handle, at, new Uint8Array(length)),
      // Memory of a WebAssembly module may be shared; only Node is known to read into that.
      ...(isNode() && { readInto: (at: number, into: Uint8Array) => fill(handle, at, into) }),
      close: () => handle.close(),
    };
  } catch (cause) {
    return missing(path, cause);
  }
}

/** Names of the files in a directory; null where there is none. */
export async function listDirectory(path: string): Promise<string[] | null> {
  try {
    return (await readdir(path)).sort();
  } catch (cause) {
    return missing(path, cause);
  }
}

/** Opens a file for reads and writes, made with its folders where there is none. */
export async function openScratch(path: string): Promise<ScratchFile> {
  await mkdir(dirname(path), { recursive: true });
  const existing = () => open(path, 'r+');
  const handle = await existing().catch(() => open(path, 'wx+').catch(existing)); // another process was faster
  return {
    size: (await handle.stat()).size,
    read: (at, length) => fill(handle, at, new Uint8Array(length)),
    write: (at, bytes) => writeAll(handle, bytes, at),
    close: () => handle.close(),
  };
}

/** Removes a file, or a folder with all in it; nothing happens where there is none. */
export async function removePath(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

/** SHA-256 of a file, in hexadecimal digits. */
export async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  const handle = await open(path, 'r');
  try {
    const part = new Uint8Array(2 ** 20);
    for (;;) {
      const { bytesRead } = await handle.read(part, 0, part.length, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(part.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

/** Where files are kept that were fetched. */
export function cacheFolder(): string | null {
  const own = environment('EDGE_SSM_CACHE');
  if (own) return own;
  const home = homedir();
  if (process.platform === 'win32') return join(environment('LOCALAPPDATA') ?? home, 'edge-ssm');
  if (process.platform === 'darwin') return join(home, 'Library', 'Caches', 'edge-ssm');
  return join(environment('XDG_CACHE_HOME') ?? join(home, '.cache'), 'edge-ssm');
}

/** A variable of the environment, if there is one that may be read. */
export function environment(name: string): string | undefined {
  try {
    return process.env[name] || undefined;
  } catch {
    return undefined; // Deno, without the permission
  }
}

/** The path that a `file:` URL names. */
export function pathOfFileUrl(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new EdgeError('INVALID_ARGUMENT', `${url} names no local file`, { cause });
  }
}

/** A file's directory and its name in it. */
export function splitPath(path: string): { directory: string; file: string } {
  return { directory: dirname(path), file: basename(path) };
}

export function joinPath(directory: string, file: string): string {
  return join(directory, file);
}

function isNode(): boolean {
  return process.versions.bun === undefined && process.versions.deno === undefined;
}

/** The part of `bytes` that the file reached from `offset` on. */
async function fill(handle: FileHandle, offset: number, bytes: Uint8Array): Promise<Uint8Array> {
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled === bytes.length ? bytes : bytes.subarray(0, filled);
}

function missing(path: string, cause: unknown): null {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code !== undefined && MISSING.has(code)) return null;
  const why = code ?? message; // Deno's, of a permission that the program was not given, says which: --allow-read
  throw new EdgeError('NOT_FOUND', `${path} cannot be read (${why}); check its permissions`, { cause });
}
