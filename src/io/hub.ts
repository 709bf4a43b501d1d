import { EdgeError } from '../errors.ts';
import type { Downloads } from './download.ts';
import { answered, discard, type HttpOptions, persist, request } from './http.ts';
import { requirePlainName } from './range.ts';
import type { FileSet } from './types.ts';

const EXPECTED =
  "expected 'hf:organization/name', 'hf:organization/name@revision' or one of its files, 'hf:organization/name/file'";
const MOST_FILES = 10_000;

interface Listed {
  names: string[];
  sha256: Map<string, string>; // of the large ones
}

/**
 * The files of a model on the Hugging Face Hub, or on a mirror of it. `location` is 'hf:org/name[@revision][/file]'; a
 * slash in a revision is written %2F.
 * @throws INVALID_ARGUMENT
 */
export function hubFileSet(location: string, downloads: Downloads): FileSet {
  const match = /^hf:([\w.-]{1,96}\/[\w.-]{1,96})(?:@([^/@]{1,200}))?(?:\/([^/]+))?$/.exec(location);
  if (!match || match[1]!.split('/').some((part) => /^\.+$/.test(part)))
    throw new EdgeError(
      'INVALID_ARGUMENT',
      `'${location.slice(0, 200)}' names no model of the hub; ${EXPECTED}`,
    );
  const [, repository, revision = 'main', main] = match;
  const { endpoint, token } = downloads;
  const rev = encodeURIComponent(decodeURIComponent(revision));
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const http = { ...downloads.http, headers };
  let listing: Promise<Listed | null> | undefined;
  const list = (signal?: AbortSignal) => {
    listing ??= fetchListing(`${endpoint}/api/models/${repository}/tree/${rev}`, http, signal).catch(
      () => null,
    );
    return listing;
  };
  return {
    name: location,
    ...(main !== undefined && { main }),
    ...(downloads.note && { note: downloads.note }),
    async open(file, signal) {
      requirePlainName(location, file);
      const url = `${endpoint}/${repository}/resolve/${rev}/${encodeURIComponent(file)}`;
      const sha256 = async () => (await list(signal))?.sha256.get(file) ?? null;
      return downloads.open(url, signal, headers, sha256);
    },
    list: async () => (await list())?.names ?? null,
  };
}

/** Says how a model of the hub is named, where `path` could be meant as one. */
export function hubHint(path: string): string {
  return /^\w[\w.-]{0,95}\/\w[\w.-]{0,95}$/.test(path)
    ? `. If a model of the Hugging Face Hub is meant, its name here is 'hf:${path}'`
    : '';
}

/** The hub's list of a revision's files: https://huggingface.co/docs/hub/api, `tree`. */
async function fetchListing(url: string, http: HttpOptions, signal?: AbortSignal): Promise<Listed> {
  const response = await persist(http, signal, () => request(url, {}, http, signal));
  if (response.status !== 200) {
    await discard(response);
    throw new EdgeError('NETWORK', `${url}: ${answered(response)}`);
  }
  const found: unknown = await response.json();
  if (!Array.isArray(found) || found.length > MOST_FILES)
    throw new EdgeError('NETWORK', `${url}: expected a list of files`);
  const listed: Listed = { names: [], sha256: new Map() };
  for (const { type, path, lfs } of found as { type?: string; path?: string; lfs?: { oid?: string } }[]) {
    if (type !== 'file' || typeof path !== 'string') continue;
    listed.names.push(path);
    if (typeof lfs?.oid === 'string' && /^[0-9a-f]{64}$/.test(lfs.oid)) listed.sha256.set(path, lfs.oid);
  }
  return listed;
}
