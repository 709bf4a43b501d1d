export type { DownloadOptions } from '../api/types/index.ts';

/** A file, blob or URL that can be read by byte ranges. Offsets are plain numbers: files exceed 4 GiB. */
export interface ByteSource {
  readonly name: string; // for messages: path, URL or file name
  readonly size: number; // bytes
  /**
   * Exactly [offset, offset + length), or INVALID_FILE if the source ends before.
   * The bytes may be the source's own: they are not to be written to.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Fills `into` from `offset` on, as `read` would; absent where bytes always come in memory of their own. */
  readonly readInto?: (offset: number, into: Uint8Array, signal?: AbortSignal) => Promise<void>;
  close(): Promise<void>;
}

/** The files of one model: a directory, a set of blobs, or a base URL. */
export interface FileSet {
  readonly name: string;
  /** The file that was pointed at, where one was rather than a folder. */
  readonly main?: string;
  /** What to say where a file is missing. */
  readonly note?: string;
  /** Null if there is no such file. `file` is a plain name, without folders. */
  open(file: string, signal?: AbortSignal): Promise<ByteSource | null>;
  /** File names, or null where they can't be listed (URLs), or there is no such folder. */
  list(): Promise<string[] | null>;
  /** The files of a folder in this one, where there are folders. */
  readonly folder?: (name: string) => FileSet;
}
