import { pathOfFileUrl, splitPath, statPath } from '#runtime';
import { EdgeError } from '../errors.ts';
import { blobFileSet, blobName } from './blob.ts';
import { Downloads } from './download.ts';
import { directoryFileSet, openFileSource } from './file.ts';
import { hubFileSet, hubHint } from './hub.ts';
import { requirePlainName } from './range.ts';
import type { ByteSource, DownloadOptions, FileSet } from './types.ts';
import { openBlobUrl, openUrl } from './url.ts';

/** A directory or file path, a URL of a folder or file, or the files themselves. */
export type FileSetSource = string | URL | Blob | readonly Blob[];

const FILE = /\.(safetensors|gguf|json|bin|pt|pth)$/i;

/** The files of one model. A path or URL of one file serves its siblings too. @throws NOT_FOUND, INVALID_ARGUMENT */
export async function openFileSet(source: FileSetSource, download: DownloadOptions = {}): Promise<FileSet> {
  if (typeof source === 'string' || source instanceof URL) return openLocation(String(source), download);
  const blobs = source instanceof Blob ? [source] : source;
  return blobFileSet(blobs.map((blob) => ({ name: blobName(blob), blob })));
}

/** The embedded model: one file, at the first of `urls` where there is one. */
export function embeddedFileSet(urls: readonly string[]): FileSet {
  const main = 'tiny.safetensors';
  return {
    name: 'tiny',
    main,
    async open(file, signal) {
      if (file !== main) return null;
      for (const url of urls) {
        const source = isFileUrl(url)
          ? await openFileSource(pathOfFileUrl(url))
          : ((await openUrl(url, signal, {}, 'whole'))?.source ?? null);
        if (source) return source;
      }
      throw new EdgeError(
        'NOT_FOUND',
        `The bundler did not copy the embedded model: looked for it at ${urls.join(' and ') || 'no URL'}. Copy ` +
          'node_modules/edge-ssm/dist/tiny.safetensors to where it is found, and load it by its URL or path (docs/bundlers.md)',
      );
    },
    list: async () => [main],
  };
}

/** One file: a path or a URL. @throws NOT_FOUND where there is none */
export async function openSourceAt(location: string, signal?: AbortSignal): Promise<ByteSource> {
  const open = async () => {
    if (isFileUrl(location)) return openFileSource(pathOfFileUrl(location));
    if (/^https?:/i.test(location)) return (await openUrl(location, signal))?.source ?? null;
    if (/^(blob|data):/i.test(location)) return openBlobUrl(location, signal);
    return openFileSource(location);
  };
  const source = await open();
  if (source) return source;
  throw new EdgeError('NOT_FOUND', `There is no file '${location.slice(0, 200)}'`);
}

async function openLocation(location: string, download: DownloadOptions): Promise<FileSet> {
  if (isFileUrl(location)) return openPath(pathOfFileUrl(location));
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(location)?.[1]?.toLowerCase(); // one letter is a drive
  if (scheme === undefined) return openPath(location);
  if (scheme === 'blob' || scheme === 'data') {
    const main = 'model.safetensors'; // or whatever its first bytes say
    const open: FileSet['open'] = async (file, signal) =>
      file === main ? openBlobUrl(location, signal) : null;
    return { name: location.slice(0, 80), main, open, list: async () => [main] };
  }
  if (scheme === 'http' || scheme === 'https') return openHttp(location, new Downloads(download));
  if (scheme === 'hf') return hubFileSet(location, new Downloads(download));
  if (await statPath(location).catch(() => null)) return openPath(location); // a colon in a file's name
  throw new EdgeError(
    'INVALID_ARGUMENT',
    `'${location.slice(0, 200)}' cannot be opened: '${scheme}:' is not supported; give a path, an http(s) URL, or 'hf:organization/name'`,
  );
}

function openHttp(location: string, downloads: Downloads): FileSet {
  if (!URL.canParse(location))
    throw new EdgeError('INVALID_ARGUMENT', `'${location.slice(0, 200)}' is no URL`);
  const url = new URL(location);
  const file = lastSegment(url);
  if (FILE.test(file)) return urlFileSet(new URL('.', url).href, downloads, { file, url: url.href });
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return urlFileSet(new URL('.', url).href, downloads);
}

/** Files beside each other under a base URL. `main` is a file's own URL, query and all. */
function urlFileSet(base: string, downloads: Downloads, main?: { file: string; url: string }): FileSet {
  return {
    name: main?.url ?? base,
    ...(main && { main: main.file }),
    ...(downloads.note && { note: downloads.note }),
    async open(file, signal) {
      if (file === main?.file) return downloads.open(main.url, signal);
      requirePlainName(base, file);
      return downloads.open(new URL(encodeURIComponent(file), base).href, signal);
    },
    list: async () => null,
  };
}

function lastSegment(url: URL): string {
  const segment = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

async function openPath(path: string): Promise<FileSet> {
  const found = await statPath(path);
  if (!found)
    throw new EdgeError(
      'NOT_FOUND',
      `There is no file or directory '${path}'; expected a model's folder or one of its files${hubHint(path)}`,
    );
  if (found.kind === 'directory') return directoryFileSet(path);
  const { directory, file } = splitPath(path);
  return directoryFileSet(directory, file);
}

function isFileUrl(location: string): boolean {
  return /^file:/i.test(location);
}
