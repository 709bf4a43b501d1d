/** Memory that no cache holds, written once. */
export const memoryToRead = () => Buffer.alloc(1024 * 2 ** 20, 1);

/** Reads all of it as fast as this runtime can: a search for a byte that is not there. */
export function readAll(memory: Buffer): void {
  if (memory.indexOf(0) >= 0) throw new Error('unexpected byte');
}
