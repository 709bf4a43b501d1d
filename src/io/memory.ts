import { throwIfAborted } from '../errors.ts';
import { checkRange, requirePlainName } from './range.ts';
import type { ByteSource, FileSet } from './types.ts';

/** Bytes that are already here. Reads are views of them. */
export class MemorySource implements ByteSource {
  readonly size: number;

  constructor(
    readonly name: string,
    private readonly bytes: Uint8Array,
  ) {
    this.size = bytes.length;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    return this.bytes.subarray(offset, offset + length);
  }

  async close(): Promise<void> {}
}

/** Files in memory, by name. */
export function memoryFileSet(files: Readonly<Record<string, Uint8Array>>, name = 'memory'): FileSet {
  const byName = new Map(Object.entries(files));
  return {
    name,
    async open(file) {
      requirePlainName(name, file);
      const bytes = byName.get(file);
      return bytes ? new MemorySource(file, bytes) : null;
    },
    list: async () => [...byName.keys()].sort(),
  };
}
