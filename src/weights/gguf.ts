import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import type { Sidecars } from './assemble.ts';
import type { Checkpoint } from './types.ts';
export async function isGguf(source: ByteSource, signal?: AbortSignal): Promise<boolean> {
  if (source.size < 4) return false;
  const magic = await source.read(0, 4, signal);
  return magic[0] === 0x47 && magic[1] === 0x47 && magic[2] === 0x55 && magic[3] === 0x46;
}
export async function openGguf(source: ByteSource, _s: Sidecars, _signal?: AbortSignal): Promise<Checkpoint> {
  throw new EdgeError('UNSUPPORTED_MODEL', `${source.name}: GGUF files cannot be read yet`);
}
