import { MemorySource } from '../../src/io/memory.ts';
import { requirePlainName } from '../../src/io/range.ts';
import type { FileSet } from '../../src/io/types.ts';

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
