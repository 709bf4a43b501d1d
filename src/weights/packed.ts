import { EdgeError } from '../errors.ts';
import { MemorySource } from '../io/memory.ts';
import type { FileSet } from '../io/types.ts';
import type { JsonValue } from '../types.ts';
import { isObject, parseJsonObject } from './json.ts';
import type { SafetensorsHeader } from './safetensors.ts';

/** The metadata of a safetensors file that carries its folder's other files: a JSON object of texts by name. */
const FILES = 'edge_ssm.files';

/** `files`, and where one is missing, what the safetensors file `name` carries under that name in its header. */
export function withPacked(files: FileSet, name: string, header: SafetensorsHeader): FileSet {
  const packed = readPacked(name, header);
  if (!packed) return files;
  return {
    ...files,
    async open(file, signal) {
      const beside = file === files.main ? null : await files.open(file, signal);
      const text = beside ? undefined : packed[file];
      if (text === undefined) return beside;
      return new MemorySource(`${name}, ${file}`, new TextEncoder().encode(text));
    },
  };
}

function readPacked(name: string, { metadata }: SafetensorsHeader): Record<string, string> | null {
  const text = metadata[FILES];
  if (text === undefined) return null;
  const packed = parseJsonObject(`${name}, ${FILES}`, text);
  const isText = (value: JsonValue) => typeof value === 'string';
  if (!isObject(packed) || !Object.values(packed).every(isText))
    throw new EdgeError('INVALID_FILE', `${name}: expected ${FILES} to hold texts by file name`);
  return packed as Record<string, string>;
}
