import { absoluteLocation, pathOfFileUrl, writeFileAtomic } from '#runtime';
import { EdgeError, requireArgument, show, throwIfAborted } from '../errors.ts';
import { openSourceAt } from '../io/fileset.ts';
import { type Ends, unlessEnded } from './lifetime.ts';
import type { SnapshotSource, SnapshotTarget } from './types/index.ts';

/** Bytes of a piece. */
const PIECE = 2 ** 16;

/**
 * All bytes of a snapshot, of which there may be `most`; waits for no source that is quiet once one of `ends` came.
 * @throws NOT_FOUND, NETWORK, INVALID_FILE, ABORTED
 */
export function readSnapshot(source: SnapshotSource, most: number, ends: Ends): Promise<Uint8Array> {
  return unlessEnded(read(source, most, ends), ends);
}

async function read(source: SnapshotSource, most: number, ends: Ends): Promise<Uint8Array> {
  const { signal } = ends;
  throwIfAborted(signal);
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (typeof Blob !== 'undefined' && source instanceof Blob) {
    requireSize(source.size, most);
    return new Uint8Array(await source.arrayBuffer());
  }
  if (typeof source === 'string' || source instanceof URL) {
    requireArgument(String(source) !== '', 'The snapshot is an empty string; give a path or a URL');
    const file = await openSourceAt(absoluteLocation(String(source)), signal);
    try {
      requireSize(file.size, most);
      return await file.read(0, file.size, signal);
    } finally {
      await file.close();
    }
  }
  return collect(piecesOf(source as Exclude<typeof source, Blob>), most, ends);
}

/** A snapshot in pieces, as they are asked for. */
export function snapshotStream(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at < bytes.length) controller.enqueue(bytes.slice(at, at + PIECE));
      else controller.close();
      at += PIECE;
    },
  });
}

/**
 * Looks at a target; gives what writes to it. What was there stays until all is written, where that can be had: files,
 * and OPFS. The writer waits for no target that takes nothing once its signal is aborted.
 * @throws INVALID_ARGUMENT; the writer NOT_FOUND, WRITE_FAILED, ABORTED
 */
export function snapshotWriter(
  target: SnapshotTarget,
): (bytes: Uint8Array, signal?: AbortSignal) => Promise<void> {
  const write = writerOf(target);
  return (bytes, signal) => unlessEnded(write(bytes, signal), { signal, lives: [] });
}

type Writer = (bytes: Uint8Array, signal: AbortSignal | undefined) => Promise<void>;

function writerOf(target: SnapshotTarget): Writer {
  const isUrl = target instanceof URL || (typeof target === 'string' && target.startsWith('file:'));
  if (typeof target === 'string' || target instanceof URL) {
    const path = isUrl ? pathOfFileUrl(String(target)) : String(target);
    requireArgument(path !== '', 'The target of a snapshot is an empty string; give a path');
    return (bytes, signal) => writeFileAtomic(path, pieces(bytes, signal));
  }
  const { createWritable, getWriter } = Object(target) as Record<string, unknown>;
  requireArgument(
    typeof createWritable === 'function' || typeof getWriter === 'function',
    `A snapshot is saved to a path, a file: URL, a WritableStream or a file handle, found ${show(target)}`,
  );
  return async (bytes, signal) => {
    try {
      const stream = 'createWritable' in target ? await target.createWritable() : target;
      await snapshotStream(bytes).pipeTo(stream, signal ? { signal } : {});
    } catch (cause) {
      throw new EdgeError('WRITE_FAILED', `The snapshot could not be written to its stream: ${cause}`, {
        cause,
      });
    }
  };
}

function* pieces(bytes: Uint8Array, signal: AbortSignal | undefined): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE) {
    throwIfAborted(signal);
    yield bytes.subarray(at, at + PIECE);
  }
}

async function collect(source: Pieces, most: number, ends: Ends): Promise<Uint8Array> {
  const bytes = new Uint8Array(most);
  let filled = 0;
  let whole = false;
  try {
    for (;;) {
      const { value: piece, done } = await unlessEnded(source.next(), ends);
      whole = done === true;
      if (whole) return bytes.slice(0, filled);
      requireArgument(piece instanceof Uint8Array, 'A stream of a snapshot gives Uint8Arrays');
      requireSize(filled + piece.length, most);
      bytes.set(piece, filled);
      filled += piece.length;
    }
  } finally {
    if (!whole) source.leave().catch(() => {}); // it may be too quiet to hear it
  }
}

interface Pieces {
  next(): Promise<{ value?: unknown; done?: boolean }>;
  leave(): Promise<unknown>;
}

/** Not every browser iterates over streams. */
function piecesOf(source: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>): Pieces {
  if (typeof source === 'object' && source !== null && 'getReader' in source) {
    requireArgument(
      typeof source.getReader === 'function' && !source.locked,
      'The stream of a snapshot is locked: somebody reads it already',
    );
    const reader = source.getReader();
    return { next: () => reader.read(), leave: () => reader.cancel() };
  }
  const iterable = source as AsyncIterable<Uint8Array>;
  requireArgument(
    typeof iterable?.[Symbol.asyncIterator] === 'function',
    `A snapshot is bytes, a Blob, a stream, a path or a URL, found ${show(iterable)}`,
  );
  const iterator = iterable[Symbol.asyncIterator]();
  return { next: async () => iterator.next(), leave: async () => iterator.return?.() };
}

function requireSize(size: number, most: number): void {
  if (size > most)
    throw new EdgeError(
      'STATE_MISMATCH',
      `The snapshot has ${size} bytes or more, one of this model at most ${most}: it belongs to another model`,
    );
}
