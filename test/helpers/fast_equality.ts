import { expect } from 'vitest';

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer, byteOffset, byteLength);

const isPlain = (value: unknown) => typeof value === 'number' || typeof value === 'string';

/** Vitest takes µs an element. What differs is left to it: it says where. */
expect.addEqualityTesters([
  (a: unknown, b: unknown) => {
    if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b) && a.constructor === b.constructor)
      return Buffer.compare(bytesOf(a), bytesOf(b)) === 0 ? true : undefined;
    if (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.length > 100)
      return a.every((value, i) => isPlain(value) && Object.is(value, b[i])) ? true : undefined;
    return undefined;
  },
]);
