/** A local file, open for ranged reads. */
export interface LocalFile {
  readonly size: number; // bytes, when it was opened
  /** At most `length` bytes from `offset`; fewer only where the file ends. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `into` from `offset` on, and answers the part of it that the file reached. Absent where the runtime can't. */
  readonly readInto?: (offset: number, into: Uint8Array) => Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface PathStat {
  kind: 'file' | 'directory';
  size: number; // bytes; of files
}

/** Pieces of a file to be written. */
export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A file that text is added to. */
export interface Appender {
  append(text: string): Promise<void>;
  close(): Promise<void>;
}

/** A file for reads and writes anywhere; what was never written is zeros. */
export interface ScratchFile {
  readonly size: number; // bytes, when it was opened
  /** At most `length` bytes from `offset`; fewer only where the file ends. */
  read(offset: number, length: number): Promise<Uint8Array>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}
