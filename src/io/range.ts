import { EdgeError } from '../errors.ts';

/** Refuses a range that leaves its source: INVALID_FILE, with what was asked for and what there is. */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  const inside =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    length <= source.size - offset;
  if (!inside)
    throw new EdgeError(
      'INVALID_FILE',
      `${source.name} ends too early: bytes ${offset} to ${offset + length} were expected, it has ${source.size}`,
    );
}

/** Is this the name of a file in a folder, and no way out of it? */
export function isPlainName(file: string): boolean {
  if (file === '' || file === '.' || file === '..' || file.length > 255) return false;
  for (let i = 0; i < file.length; i++) if (file.charCodeAt(i) < 32) return false;
  return !/[/\\:*?"<>|]/.test(file);
}

/** Refuses names that lead out of the folder. */
export function requirePlainName(set: string, file: string): void {
  if (!isPlainName(file))
    throw new EdgeError(
      'INVALID_FILE',
      `${set}: ${JSON.stringify(file.slice(0, 100))} is no plain file name; files of a model lie in one folder`,
    );
}
