import { EdgeError } from '../errors.ts';
import type { Chunks, LocalFile, PathStat, ScratchFile } from './files.types.ts';

export type * from './files.types.ts';

function noPaths(path: string): EdgeError {
  return new EdgeError(
    'NOT_FOUND',
    `There are no paths in browsers: found '${path}'; give an absolute URL, a File or a Blob`,
  );
}

export async function statPath(path: string): Promise<PathStat | null> {
  throw noPaths(path);
}

export async function openFile(path: string): Promise<LocalFile | null> {
  throw noPaths(path);
}

export async function listDirectory(path: string): Promise<string[] | null> {
  throw noPaths(path);
}

export async function writeFileAtomic(path: string, _chunks: Chunks): Promise<void> {
  throw noPaths(path);
}

export async function appendText(path: string, _text: string): Promise<void> {
  throw noPaths(path);
}

export function pathOfFileUrl(url: string): string {
  throw noPaths(url);
}

export function splitPath(path: string): { directory: string; file: string } {
  throw noPaths(path);
}

export function joinPath(directory: string, _file: string): string {
  throw noPaths(directory);
}

export async function openScratch(path: string): Promise<ScratchFile> {
  throw noPaths(path);
}

export async function makeFolder(path: string): Promise<void> {
  throw noPaths(path);
}

export async function removePath(path: string): Promise<void> {
  throw noPaths(path);
}

export async function fileDigest(path: string): Promise<string> {
  throw noPaths(path);
}

/** Browsers have a cache of their own. */
export function cacheFolder(): null {
  return null;
}

export function environment(_name: string): undefined {
  return undefined;
}
