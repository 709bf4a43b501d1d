import { EdgeError } from '../errors.ts';
import type { Chunks, LocalFile, PathStat, ScratchFile } from './files.types.ts';
import { sha256 } from './sha256.ts';

export type * from './files.types.ts';

/** Paths here lie in the origin private file system: 'opfs:/edge-ssm/x'. There are no others. */
const OPFS = 'opfs:';
const MOST_HASHED = 256 * 2 ** 20; // bytes: a digest needs all of them in memory

function noPaths(path: string): EdgeError {
  return new EdgeError(
    'NOT_FOUND',
    `There are no paths in browsers: found '${path}'; give an absolute URL, a File or a Blob`,
  );
}

export async function statPath(path: string): Promise<PathStat | null> {
  throw noPaths(path);
}

/** Opens a file for reading; null where there is none. */
export async function openFile(path: string): Promise<LocalFile | null> {
  const { folder, name } = await locate(path);
  const file = await present(folder?.getFileHandle(name).then((handle) => handle.getFile()));
  return (
    file && {
      size: file.size,
      read: async (at, length) => new Uint8Array(await file.slice(at, at + length).arrayBuffer()),
      close: async () => {},
    }
  );
}

/** Names of what lies in a folder; null where there is none. */
export async function listDirectory(path: string): Promise<string[] | null> {
  const { folder, name } = await locate(path);
  const found = await present(folder?.getDirectoryHandle(name));
  if (!found) return null;
  const names: string[] = [];
  for await (const key of (found as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(key);
  return names.sort();
}

/** Writes a file that is there as a whole or not at all. */
export async function writeFileAtomic(path: string, chunks: Chunks): Promise<void> {
  const { folder, name } = await locate(path, true);
  const stream = await (await folder!.getFileHandle(name, { create: true })).createWritable();
  try {
    for await (const chunk of chunks) await stream.write(chunk as Uint8Array<ArrayBuffer>);
    await stream.close();
  } catch (error) {
    await stream.abort().catch(() => {});
    throw error;
  }
}

export function pathOfFileUrl(url: string): string {
  throw noPaths(url);
}

export function splitPath(path: string): { directory: string; file: string } {
  if (!path.startsWith(OPFS)) throw noPaths(path);
  const slash = path.lastIndexOf('/');
  return { directory: path.slice(0, slash), file: path.slice(slash + 1) };
}

export function joinPath(directory: string, file: string): string {
  if (!directory.startsWith(OPFS)) throw noPaths(directory);
  return `${directory}/${file}`;
}

/** Opens a file for reads and writes, made with its folders where there is none. In workers, once at a time. */
export async function openScratch(path: string): Promise<ScratchFile> {
  const { folder, name } = await locate(path, true);
  const file = await folder!.getFileHandle(name, { create: true });
  const handle = await (
    file as unknown as { createSyncAccessHandle(): Promise<SyncHandle> }
  ).createSyncAccessHandle();
  return {
    size: handle.getSize(),
    async read(at, length) {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, handle.read(bytes, { at }));
    },
    async write(at, bytes) {
      if (handle.write(bytes, { at }) !== bytes.length) throw new Error('no room');
    },
    async close() {
      handle.flush();
      handle.close();
    },
  };
}

export async function makeFolder(path: string): Promise<void> {
  throw noPaths(path);
}

/** Removes a file, or a folder with all in it; nothing happens where there is none. */
export async function removePath(path: string): Promise<void> {
  const { folder, name } = await locate(path);
  await present(folder?.removeEntry(name, { recursive: true }));
}

/** SHA-256 of a file, in hexadecimal digits; null where it is too large for that. */
export async function fileDigest(path: string): Promise<string | null> {
  const { folder, name } = await locate(path);
  const file = await (await folder!.getFileHandle(name)).getFile();
  return file.size > MOST_HASHED ? null : sha256(await file.arrayBuffer());
}

/** Where files are kept that were fetched. */
export function cacheFolder(): string | null {
  return typeof navigator !== 'undefined' && navigator.storage !== undefined ? `${OPFS}/edge-ssm` : null;
}

export function environment(_name: string): undefined {
  return undefined;
}

interface SyncHandle {
  getSize(): number;
  read(bytes: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  flush(): void;
  close(): void;
}

/** The folder that a path lies in, null where there is none, and its name there. */
async function locate(
  path: string,
  create = false,
): Promise<{ folder: FileSystemDirectoryHandle | null; name: string }> {
  if (!path.startsWith(OPFS)) throw noPaths(path);
  const parts = path.slice(OPFS.length).split('/').filter(Boolean);
  const name = parts.pop()!;
  let folder: FileSystemDirectoryHandle | null = await navigator.storage.getDirectory();
  for (const part of parts) folder = folder && (await present(folder.getDirectoryHandle(part, { create })));
  return { folder, name };
}

/** Null for what is not there. */
async function present<T>(pending: Promise<T> | undefined): Promise<T | null> {
  try {
    return (await pending) ?? null;
  } catch (error) {
    if (error instanceof DOMException && /NotFound|TypeMismatch/.test(error.name)) return null;
    throw error;
  }
}
