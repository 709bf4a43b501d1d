import type { Abortable } from './abortable.ts';

/** Where to rewind to: a number of consumed tokens, or where a turn began (−1: the last `append` or `generate`). */
export type RewindTarget =
  | {
      /** Consumed tokens, 0 or more. */
      position: number;
    }
  | {
      /** Index of a turn, from 0; from the end if it is negative. */
      turn: number;
    };

/** Numbers of a snapshot: `'f16'` takes half the bytes, and rounds the state. */
export type SnapshotDtype = 'f32' | 'f16';

/** What of a snapshot is accepted. */
export interface DecodeOptions {
  /** Take the state of the same model with weights quantized otherwise, be it in another file. Default false. */
  allowQuantization?: boolean;
}

/** Where a snapshot is read from: its bytes, a Blob or File (of OPFS too), a stream, a path or a URL. */
export type SnapshotSource =
  | Uint8Array
  | ArrayBuffer
  | Blob
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | URL
  | string;

/** Where a snapshot is written to: a path, a file: URL, a stream, or a file of OPFS. */
export type SnapshotTarget =
  | string
  | URL
  | WritableStream<Uint8Array>
  | {
      /** As a FileSystemFileHandle has it. */
      createWritable(): Promise<WritableStream<Uint8Array>>;
    };

/** Options of `save`. */
export interface SaveOptions extends Abortable {
  /** Numbers of the state: `'f16'` takes half the bytes, and rounds it. Default `'f32'`. */
  dtype?: SnapshotDtype;
}

/** Options of `session`. */
export interface SessionOptions extends DecodeOptions, Abortable {
  /** A snapshot to begin with. Default: a fresh state. */
  from?: SnapshotSource;
}
