import type { ByteSource } from '../io/types.ts';
import type { JsonObject } from '../types.ts';
import { isGguf } from './gguf.ts';
import { readGgufHeader } from './gguf_header.ts';
import { refuseImpostorFile } from './impostor.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { isTorch, torchTensors } from './torch.ts';

/** The tables of a file of weights. */
export interface Inspection {
  file: string;
  container: 'safetensors' | 'gguf' | 'pytorch';
  bytes: number;
  metadata: JsonObject;
  tensors: { name: string; dtype: string; shape: readonly number[]; bytes: number }[];
}

/** The tables of a file: no tensor is read, no config is needed. @throws INVALID_FILE, UNSUPPORTED_MODEL, NETWORK */
export async function inspectFile(source: ByteSource, signal?: AbortSignal): Promise<Inspection> {
  const { name: file, size: bytes } = source;
  await refuseImpostorFile(source, signal);
  if (await isGguf(source, signal)) {
    const { version, metadata, entries } = await readGgufHeader(source, signal);
    const tensors = entries.map(({ name, type, shape, begin, end }) => ({
      name,
      dtype: type,
      shape,
      bytes: end - begin,
    }));
    return { file, container: 'gguf', bytes, metadata: { 'GGUF version': version, ...metadata }, tensors };
  }
  if (await isTorch(source, signal)) {
    const found = [...(await torchTensors(source, signal)).values()];
    const tensors = found.map(({ name, dtype, shape, bytes }) => ({ name, dtype, shape, bytes }));
    return { file, container: 'pytorch', bytes, metadata: {}, tensors };
  }
  const { metadata, entries } = await readSafetensorsHeader(source, signal);
  const tensors = [...entries.values()].map(({ name, dtype, shape, begin, end }) => ({
    name,
    dtype,
    shape,
    bytes: end - begin,
  }));
  return { file, container: 'safetensors', bytes, metadata, tensors };
}
