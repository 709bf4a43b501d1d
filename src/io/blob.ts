import { EdgeError, requireArgument, throwIfAborted } from '../errors.ts';
import { checkRange, requirePlainName } from './range.ts';
import type { ByteSource, FileSet } from './types.ts';

/** The part of Blob that is used; a worker's may stand for one of the thread that started it. */
export interface Sliceable {
  readonly size: number; // bytes
  slice(begin: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

/** A Blob or File, read by slices. */
export class BlobSource implements ByteSource {
  readonly size: number;

  constructor(
    readonly name: string,
    private readonly blob: Sliceable,
  ) {
    this.size = blob.size;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    let bytes: Uint8Array;
    try {
      bytes = new Uint8Array(await this.blob.slice(offset, offset + length).arrayBuffer());
    } catch (cause) {
      throw new EdgeError(
        'NOT_FOUND',
        `${this.name} can no longer be read; it was changed or moved since it was chosen: choose it again`,
        { cause },
      );
    }
    throwIfAborted(signal);
    if (bytes.length !== length) checkRange({ name: this.name, size: offset + bytes.length }, offset, length);
    return bytes;
  }

  async close(): Promise<void> {}
}

export interface NamedBlob {
  name: string;
  blob: Sliceable;
}

/** The files of one model, as chosen in a page. One alone is the model, whatever its name. */
export function blobFileSet(files: readonly NamedBlob[]): FileSet {
  const byName = new Map<string, Sliceable>();
  for (const { name, blob } of files) {
    requireArgument(
      !byName.has(name),
      `Two files are named '${name}'; the files of one model differ in name`,
    );
    byName.set(name, blob);
  }
  requireArgument(byName.size > 0, 'A list of files is empty; give the files of one model');
  const only = files.length === 1 ? files[0]!.name : undefined;
  const name = only ?? `${files.length} files`;
  return {
    name,
    ...(only !== undefined && { main: only }),
    async open(file) {
      if (file !== only) requirePlainName(name, file);
      const blob = byName.get(file);
      return blob ? new BlobSource(file, blob) : null;
    },
    list: async () => [...byName.keys()].sort(),
  };
}

/** A Blob without a name is a checkpoint. */
export function blobName(blob: Blob): string {
  return 'name' in blob && typeof blob.name === 'string' && blob.name !== ''
    ? blob.name
    : 'model.safetensors';
}
