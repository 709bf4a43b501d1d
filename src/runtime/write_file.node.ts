/** Writing files: as a whole, in the place that a path stands for. */
import type { Stats } from 'node:fs';
import {
  chmod,
  chown,
  type FileHandle,
  mkdir,
  open,
  readlink,
  realpath,
  rename,
  stat,
  unlink,
} from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { EdgeError } from '../errors.ts';
import type { Appender, Chunks } from './files.types.ts';

const MOST_LINKS = 40;
/** Entries of these folders are open files, not names that could be given to others. */
const OPEN_FILES = /^(\/proc\/.*\/fd|\/dev\/fd)$/;
const NOTHING_THERE = new Set(['ENOENT', 'ENOTDIR']);
const REASONS: Record<string, string> = {
  EACCES: 'permission is denied; check who may write there',
  EPERM: 'permission is denied; check who may write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the quota of the disk is used up',
  EISDIR: 'it is a directory; name a file in it',
  EFBIG: 'it would be larger than a file may be',
  EEXIST: 'it is a file, expected a directory',
  ENOTDIR: 'one of its folders is a file',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'its symbolic links lead in a circle',
  EPIPE: 'its reader went away',
};

/**
 * Writes a file that holds all chunks, or what it held before: they are written beside it and renamed over it.
 * Links stay, and what they point to is replaced; so do an existing file's mode and, where that is allowed, its owner.
 * Anything but a regular file (a device, a FIFO, an open file of /dev/fd) is written to as it is.
 * @throws NOT_FOUND where there is no such directory; WRITE_FAILED
 */
export async function writeFileAtomic(path: string, chunks: Chunks): Promise<void> {
  const place = await placeOf(path);
  if (place === null) return writeThrough(path, chunks);
  const existing = await system(path, present(place));
  if (existing) await system(path, requireWritable(place)); // a file that may not be written is not replaced either
  const part = partFile(place);
  const handle = await system(path, open(part, 'wx', existing ? 0o600 : 0o666));
  try {
    for await (const chunk of chunks) await system(path, writeAll(handle, chunk));
    await system(path, handle.sync());
    await system(path, handle.close());
    if (existing) await system(path, keepOwnerAndMode(part, existing));
    await system(path, rename(part, place));
  } catch (error) {
    await handle.close().catch(() => {});
    await unlink(part).catch(() => {});
    throw error;
  }
}

/** Opens a file to add text at its end; made where there is none. @throws NOT_FOUND, WRITE_FAILED */
export async function openAppender(path: string): Promise<Appender> {
  const handle = await system(path, open(path, 'a'));
  let last = Promise.resolve();
  return {
    append(text) {
      last = last.then(() => system(path, writeAll(handle, new TextEncoder().encode(text)))); // never within another
      return last;
    },
    close: () => handle.close(),
  };
}

/** Is this a path that a file can be written to, as far as names tell? @throws NOT_FOUND, WRITE_FAILED */
export async function requirePlace(path: string): Promise<void> {
  await placeOf(path);
}

/** Is there something at `path` that keeps nothing, such as a device or a FIFO? */
export async function isStream(path: string): Promise<boolean> {
  return (await placeOf(path)) === null;
}

/** Makes a folder, and those that it lies in. @throws WRITE_FAILED */
export async function makeFolder(path: string): Promise<void> {
  await system(path, mkdir(path, { recursive: true }));
}

/** At `offset`, or where the last write ended. */
export async function writeAll(handle: FileHandle, chunk: Uint8Array, offset?: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const at = offset === undefined ? null : offset + done;
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, at);
    done += bytesWritten;
  }
}

async function writeThrough(path: string, chunks: Chunks): Promise<void> {
  const handle = await system(path, open(path, 'w'));
  try {
    for await (const chunk of chunks) await system(path, writeAll(handle, chunk));
  } finally {
    await handle.close().catch(() => {});
  }
}

/** Where the regular file of a path is, or would be, behind all links; null where `path` is none. */
async function placeOf(path: string): Promise<string | null> {
  const found = await system(path, present(path));
  if (found?.isDirectory()) throw cannotWrite(path, { code: 'EISDIR' });
  if (found && !found.isFile()) return null;
  let place = path;
  for (let links = 0; links <= MOST_LINKS; links++) {
    const folder = await realpath(dirname(place)).catch((cause) => {
      if (!NOTHING_THERE.has(cause.code)) throw cannotWrite(path, cause);
      throw new EdgeError('NOT_FOUND', `Cannot write ${path}: there is no directory ${dirname(place)}`, {
        cause,
      });
    });
    if (OPEN_FILES.test(folder)) return null;
    place = join(folder, basename(place));
    const link = await readlink(place).catch(() => null); // no link, or nothing there
    if (link === null) return place;
    place = isAbsolute(link) ? link : `${folder}/${link}`; // not normalized: 'a/..' may lead elsewhere
  }
  throw cannotWrite(path, { code: 'ELOOP' });
}

let writes = 0;

function partFile(place: string): string {
  return join(dirname(place), `.edge-ssm-${process.pid}-${writes++}.part`);
}

async function present(path: string): Promise<Stats | null> {
  return stat(path).catch((cause) => {
    if (NOTHING_THERE.has(cause.code)) return null;
    throw cause;
  });
}

async function requireWritable(place: string): Promise<void> {
  await (await open(place, 'r+')).close();
}

async function keepOwnerAndMode(part: string, { uid, gid, mode }: Stats): Promise<void> {
  const made = await stat(part);
  if (made.uid !== uid || made.gid !== gid) await chown(part, uid, gid).catch(() => {});
  await chmod(part, mode & 0o777);
}

/** Turns a refusal of the file system into an EdgeError. */
function system<T>(path: string, done: Promise<T>): Promise<T> {
  return done.catch((cause) => {
    throw cannotWrite(path, cause);
  });
}

function cannotWrite(path: string, cause: unknown): EdgeError {
  if (cause instanceof EdgeError) return cause;
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const why = REASONS[code] ?? `the file system refuses (${code || message})`;
  return new EdgeError('WRITE_FAILED', `Cannot write ${path}: ${why}`, { cause });
}
