import { expect } from 'vitest';
import { EdgeError, type EdgeErrorCode } from '../../src/errors.ts';
import { MemorySource } from '../../src/io/memory.ts';
import type { ByteSource, FileSet } from '../../src/io/types.ts';
import { memoryFileSet } from '../helpers/memory_files.ts';

const utf8 = new TextEncoder();

/** A safetensors file of a header as it is given, honest or not. */
export function rawSafetensors(
  header: string,
  dataBytes: number,
  headerLength?: number | bigint,
): Uint8Array {
  const text = utf8.encode(header);
  const file = new Uint8Array(8 + text.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength ?? text.length), true);
  file.set(text, 8);
  for (let i = 8 + text.length; i < file.length; i++) file[i] = (i * 37) & 63;
  return file;
}

/** A well-formed file: tensors in order, with data that depends on the position. */
export function simpleSafetensors(
  tensors: Record<string, { dtype: string; shape: number[] }>,
  metadata?: Record<string, string>,
): Uint8Array {
  const size: Record<string, number> = { F32: 4, F16: 2, BF16: 2, U8: 1, I64: 8 };
  let at = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape }]) => {
    const bytes = shape.reduce((a, b) => a * b, 1) * size[dtype]!;
    at += bytes;
    return [name, { dtype, shape, data_offsets: [at - bytes, at] }];
  });
  const header = { ...(metadata && { __metadata__: metadata }), ...Object.fromEntries(entries) };
  return rawSafetensors(JSON.stringify(header), at);
}

export const json = (value: unknown) => utf8.encode(JSON.stringify(value));

export function source(bytes: Uint8Array, name = 'model.safetensors'): ByteSource {
  return new MemorySource(name, bytes);
}

export function files(contents: Record<string, Uint8Array>): FileSet {
  return memoryFileSet(contents, 'test');
}

/** Fails with this code and a message that matches every pattern. */
export async function expectError(
  run: () => unknown,
  code: EdgeErrorCode,
  ...patterns: (RegExp | string)[]
): Promise<void> {
  const error = await Promise.resolve()
    .then(run)
    .then(
      () => null,
      (error: unknown) => error,
    );
  expect(error).toBeInstanceOf(EdgeError);
  expect((error as EdgeError).code, (error as EdgeError).message).toBe(code);
  for (const pattern of patterns) expect((error as EdgeError).message).toMatch(pattern);
}
