import { EdgeError } from '../errors.ts';
import { MemorySource } from '../io/memory.ts';
import type { ByteSource, FileSet } from '../io/types.ts';
import type { JsonValue } from '../types.ts';
import { isObject, parseJsonObject } from './json.ts';
import { readSafetensorsHeader } from './safetensors.ts';

/** The metadata of a safetensors file that carries its folder's other files: a JSON object of texts by name. */
const FILES = 'edge_ssm.files';

/** `files`, and where one is missing, what the safetensors file `weights` carries under that name. */
export async function withPacked(
  files: FileSet,
  weights: ByteSource,
  signal: AbortSignal | undefined,
): Promise<FileSet> {
  const packed = await readPacked(weights, signal);
  if (!packed) return files;
  return {
    ...files,
    async open(file, signal) {
      const beside = file === files.main ? null : await files.open(file, signal);
      const text = beside ? undefined : packed[file];
      if (text === undefined) return beside;
      return new MemorySource(`${weights.name}, ${file}`, new TextEncoder().encode(text));
    },
  };
}

async function readPacked(
  weights: ByteSource,
  signal: AbortSignal | undefined,
): Promise<Record<string, string> | null> {
  if (weights.size < 10 || (await weights.read(8, 1, signal))[0] !== 0x7b) return null; // no '{': another format
  const { metadata } = await readSafetensorsHeader(weights, signal);
  const text = metadata[FILES];
  if (text === undefined) return null;
  const packed = parseJsonObject(`${weights.name}, ${FILES}`, text);
  const isText = (value: JsonValue) => typeof value === 'string';
  if (!isObject(packed) || !Object.values(packed).every(isText))
    throw new EdgeError('INVALID_FILE', `${weights.name}: expected ${FILES} to hold texts by file name`);
  return packed as Record<string, string>;
}
