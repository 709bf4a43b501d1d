import { EdgeError, throwIfAborted } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';

const HEAD = 256; // bytes

/**
 * Refuses what is often saved under the name of another file, by its first bytes: Git LFS's pointer to a file that was not
 * fetched, and a web page. @throws INVALID_FILE
 */
export function refuseImpostor(name: string, head: Uint8Array): void {
  const text = new TextDecoder().decode(head.subarray(0, HEAD)).trimStart();
  const pointer = /^version https:\/\/git-lfs\.github\.com\/spec\/.*?^size (\d+)/ms.exec(text);
  if (pointer)
    throw new EdgeError(
      'INVALID_FILE',
      `${name} is a Git LFS pointer to a file of ${pointer[1]} bytes, not the file: fetch it with 'git lfs pull' where the ` +
        'repository was cloned, or load the model from the hub itself, as hf:organization/name',
    );
  if (/^(<!doctype html|<html|<\?xml|<head)/i.test(text))
    throw new EdgeError(
      'INVALID_FILE',
      `${name} is a web page, not the file: what was saved is a page about it, or one that says why it was refused. ` +
        'Fetch the file itself; on the hub its URL has /resolve/ in place of /blob/',
    );
}

/** The same of a file that is open. */
export async function refuseImpostorFile(source: ByteSource, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  refuseImpostor(source.name, await source.read(0, Math.min(HEAD, source.size), signal));
}
