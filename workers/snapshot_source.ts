import { absoluteLocation, openFile, pathOfFileUrl } from '#runtime';
import { EdgeError } from '../src/errors.ts';

/** Where saved bytes come from. A string is a URL or, outside browsers, a path. */
export type SnapshotSource = Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array> | URL | string;

/** @throws NOT_FOUND, NETWORK */
export async function readSnapshot(source: SnapshotSource): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob || source instanceof ReadableStream)
    return new Uint8Array(await new Response(source).arrayBuffer());
  const location = absoluteLocation(String(source));
  if (/^(https?|blob|data):/.test(location)) return download(location);
  const file = await openFile(location.startsWith('file:') ? pathOfFileUrl(location) : location);
  if (!file) throw new EdgeError('NOT_FOUND', `There is no file '${location}'; expected a saved session`);
  try {
    return await file.read(0, file.size);
  } finally {
    await file.close();
  }
}

async function download(location: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(location);
  } catch (cause) {
    throw new EdgeError('NETWORK', `${location} could not be fetched`, { cause });
  }
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  const code = response.status === 404 ? 'NOT_FOUND' : 'NETWORK';
  throw new EdgeError(code, `${location} gives status ${response.status}; expected a saved session`);
}
