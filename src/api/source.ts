import { absoluteLocation, embeddedModel } from '#runtime';
import type { WireSource } from '../../workers/protocol.ts';
import { EdgeError, requireArgument } from '../errors.ts';
import { blobName } from '../io/blob.ts';
import type { DownloadOptions, ModelSource } from './types/index.ts';

const EXPECTED = "expected 'tiny', a path, a URL, 'hf:organization/name', a File, a Blob or a list of Files";

const isBlob = (value: unknown): value is Blob => typeof Blob !== 'undefined' && value instanceof Blob;

/** A source as a worker understands it, and the blobs that it reads through the loader. */
export function toWireSource(
  source: ModelSource,
  download: DownloadOptions = {},
): { wire: WireSource; blobs: readonly Blob[] } {
  if (source === 'tiny') return { wire: { kind: 'embedded', urls: embeddedModel() }, blobs: [] };
  if (typeof source === 'string' || source instanceof URL) {
    requireArgument(source !== '', `The model source is an empty string; ${EXPECTED}`);
    const location = absoluteLocation(String(source));
    return { wire: { kind: 'location', location, download: readDownloadOptions(download) }, blobs: [] };
  }
  const blobs = isBlob(source) ? [source] : source;
  if (!Array.isArray(blobs) || blobs.length === 0 || !Array.from(blobs).every(isBlob))
    throw new EdgeError('INVALID_ARGUMENT', `Not a model source; ${EXPECTED}`);
  const files = blobs.map((blob) => ({ name: blobName(blob), size: blob.size }));
  return { wire: { kind: 'files', files }, blobs };
}

function readDownloadOptions(download: DownloadOptions): DownloadOptions {
  const kinds: Record<string, string[]> = {
    token: ['string'],
    endpoint: ['string'],
    cache: ['boolean', 'string'],
    offline: ['boolean'],
  };
  requireArgument(typeof download === 'object' && download !== null, 'download must be an object');
  for (const [name, value] of Object.entries(download))
    requireArgument(
      value === undefined || kinds[name]?.includes(typeof value),
      name in kinds
        ? `download.${name} must be a ${kinds[name]!.join(' or a ')}, found a ${typeof value}`
        : `Unknown option download.${name}; there are ${Object.keys(kinds).join(', ')}`,
    );
  return { ...download };
}
