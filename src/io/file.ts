import { joinPath, type LocalFile, listDirectory, openFile } from '#runtime';
import { EdgeError, throwIfAborted } from '../errors.ts';
import { checkRange, requirePlainName } from './range.ts';
import type { ByteSource, FileSet } from './types.ts';

/** A local file. */
class FileSource implements ByteSource {
  readonly size: number;
  readonly readInto?: NonNullable<ByteSource['readInto']>;

  constructor(
    readonly name: string,
    private readonly file: LocalFile,
  ) {
    this.size = file.size;
    const { readInto } = file;
    if (readInto)
      this.readInto = async (offset, into, signal) => {
        await this.checked(offset, into.length, signal, () => readInto(offset, into));
      };
  }

  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    return this.checked(offset, length, signal, () => this.file.read(offset, length));
  }

  private async checked(
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
    run: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    throwIfAborted(signal);
    checkRange(this, offset, length);
    const bytes = await run().catch((cause) => {
      throw new EdgeError('INVALID_FILE', `${this.name} could not be read at byte ${offset}: ${cause}`, {
        cause,
      });
    });
    throwIfAborted(signal);
    // Shorter than when it was opened: it was truncated meanwhile.
    if (bytes.length !== length) checkRange({ name: this.name, size: offset + bytes.length }, offset, length);
    return bytes;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** Opens a local file; null where there is none. */
export async function openFileSource(path: string): Promise<ByteSource | null> {
  const file = await openFile(path);
  return file && new FileSource(path, file);
}

/** The files of a directory; `main` is the one that was pointed at. */
export function directoryFileSet(directory: string, main?: string): FileSet {
  return {
    name: main === undefined ? directory : joinPath(directory, main),
    ...(main !== undefined && { main }),
    async open(file) {
      if (file !== main) requirePlainName(directory, file);
      return openFileSource(joinPath(directory, file));
    },
    list: () => listDirectory(directory),
    folder: (name) => directoryFileSet(joinPath(directory, name)),
  };
}
