import { absoluteLocation, tinyFiles } from '#runtime';
import type { ModelSource } from '../src/engine/types.ts';
import { EdgeError, requireArgument } from '../src/errors.ts';
import type { WireSource } from './protocol.ts';

const EXPECTED = "expected 'tiny', a path, a URL, a File, a Blob or a list of Files";

const isBlob = (value: unknown): value is Blob => typeof Blob !== 'undefined' && value instanceof Blob;

/** A Blob without a name is a checkpoint. */
const fileName = (blob: Blob) => ('name' in blob ? String(blob.name) : 'model.safetensors');

/** Says where a model is in a way that a worker understands. */
export function toWireSource(source: ModelSource): WireSource {
  if (source === 'tiny') return { kind: 'urls', name: 'tiny', urls: tinyFiles() };
  if (typeof source === 'string') {
    requireArgument(source !== '', `The model source is an empty string; ${EXPECTED}`);
    return { kind: 'location', location: absoluteLocation(source) };
  }
  if (source instanceof URL) return { kind: 'location', location: source.href };
  const blobs = isBlob(source) ? [source] : source;
  if (!Array.isArray(blobs) || blobs.length === 0 || !blobs.every(isBlob))
    throw new EdgeError('INVALID_ARGUMENT', `Not a model source; ${EXPECTED}`);
  // Plain slices of the files: a File itself loses its contents on the way into a worker of Node 20.
  return { kind: 'blobs', files: blobs.map((blob) => ({ name: fileName(blob), blob: blob.slice() })) };
}
