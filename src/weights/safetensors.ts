import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { u64At, viewOf } from './bytes.ts';
import { isObject, parseJsonObject } from './json.ts';
import { elementCount } from './shape.ts';

/** Limits of a header; beyond them, INVALID_FILE. The format itself allows 100 MB. */
export const SAFETENSORS_LIMITS = {
  headerBytes: 32 * 2 ** 20,
  tensors: 65_536,
  nameLength: 512,
  dims: 8,
  json: { bytes: 32 * 2 ** 20, depth: 8, values: 1_500_000 },
} as const;

/** Bytes an element; other dtypes may be in a file, but cannot be read. */
export const DTYPE_BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** Where a tensor is: bytes [begin, end) of the file. */
export interface SafetensorsEntry {
  name: string;
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  metadata: Record<string, string>;
  entries: ReadonlyMap<string, SafetensorsEntry>;
}

/**
 * Reads and checks the header of a safetensors file. As the format demands, its tensors cover the rest of the file
 * without gap or overlap. @throws INVALID_FILE
 */
export async function readSafetensorsHeader(
  source: ByteSource,
  signal?: AbortSignal,
): Promise<SafetensorsHeader> {
  const fault = (message: string) => new EdgeError('INVALID_FILE', `${source.name}: ${message}`);
  if (source.size < 10)
    throw fault(
      `expected a safetensors file, found ${source.size} bytes; a download may have been cut short`,
    );
  const prefix = await source.read(0, 8, signal);
  const length = u64At(viewOf(prefix), 0);
  if (length > SAFETENSORS_LIMITS.headerBytes)
    throw fault(
      `expected a safetensors header of at most ${SAFETENSORS_LIMITS.headerBytes} bytes, found a length of ${length}; ` +
        'is this a safetensors file?',
    );
  if (length < 2 || 8 + length > source.size)
    throw fault(
      `the header should take ${length} bytes, but the file has ${source.size}; a download may have been cut short`,
    );
  const header = parseJsonObject(
    `${source.name}, header`,
    await source.read(8, length, signal),
    SAFETENSORS_LIMITS.json,
  );
  const { __metadata__, ...tensors } = header;
  const metadata = readMetadata(__metadata__, fault);
  const names = Object.keys(tensors);
  if (names.length > SAFETENSORS_LIMITS.tensors)
    throw fault(`${names.length} tensors; at most ${SAFETENSORS_LIMITS.tensors} are read`);
  const data = { begin: 8 + length, size: source.size - 8 - length };
  const entries = names.map((name) => readEntry(name, tensors[name]!, data, fault));
  checkCoverage(entries, data.begin, source.size, fault);
  return { metadata, entries: new Map(entries.map((entry) => [entry.name, entry])) };
}

type Fault = (message: string) => EdgeError;

function readMetadata(value: JsonValue | undefined, fault: Fault): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw fault('expected __metadata__ to be an object of strings');
  for (const [key, text] of Object.entries(value))
    if (typeof text !== 'string')
      throw fault(`expected __metadata__ to hold strings, found '${key.slice(0, 100)}' of another type`);
  return value as Record<string, string>;
}

function readEntry(
  name: string,
  value: JsonValue,
  data: { begin: number; size: number },
  fault: Fault,
): SafetensorsEntry {
  const label = `tensor '${name.slice(0, 100)}'`;
  if (name === '' || name.length > SAFETENSORS_LIMITS.nameLength)
    throw fault(
      `${label}: a name has 1 to ${SAFETENSORS_LIMITS.nameLength} characters, found ${name.length}`,
    );
  const { dtype, shape, data_offsets: offsets }: JsonObject = isObject(value) ? value : {};
  if (typeof dtype !== 'string' || dtype.length > 32) throw fault(`${label}: expected a dtype`);
  if (!Array.isArray(shape) || shape.length > SAFETENSORS_LIMITS.dims || !shape.every(isIndex))
    throw fault(
      `${label}: expected a shape of at most ${SAFETENSORS_LIMITS.dims} dimensions, found ${show(shape)}`,
    );
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isIndex))
    throw fault(`${label}: expected data_offsets of two byte offsets, found ${show(offsets)}`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > data.size)
    throw fault(`${label}: lies at bytes ${begin} to ${end} of the data, which has ${data.size} bytes`);
  const size = DTYPE_BYTES[dtype];
  const bytes = size === undefined ? null : elementCount(shape) * size;
  if (bytes !== null && bytes !== end - begin)
    throw fault(`${label}: ${dtype} [${shape}] takes ${bytes} bytes, but ${end - begin} are given to it`);
  return { name, dtype, shape, begin: data.begin + begin, end: data.begin + end };
}

function checkCoverage(entries: SafetensorsEntry[], begin: number, end: number, fault: Fault): void {
  let at = begin;
  for (const entry of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin !== at)
      throw fault(
        `tensor '${entry.name.slice(0, 100)}' begins at byte ${entry.begin}, the one before it ends at ${at}; ` +
          'tensors must follow each other without gap or overlap',
      );
    at = entry.end;
  }
  if (at !== end)
    throw fault(
      `the tensors end at byte ${at}, the file has ${end}; it is damaged, or was not written by the format's rules`,
    );
}

function isIndex(value: JsonValue): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function show(value: JsonValue | undefined): string {
  return value === undefined ? 'none' : JSON.stringify(value).slice(0, 80);
}

/** A tensor to be written: its bytes in order, and how many they are. */
export interface SafetensorsPiece {
  name: string;
  dtype: string;
  shape: readonly number[];
  data: Uint8Array | (() => AsyncIterable<Uint8Array>);
}

/** The bytes of a safetensors file, piece by piece. Tensors are ordered so that each is aligned to its dtype. */
export async function* safetensorsChunks(
  metadata: Readonly<Record<string, string>>,
  pieces: readonly SafetensorsPiece[],
): AsyncGenerator<Uint8Array> {
  const sized = pieces.map((piece) => {
    const element = DTYPE_BYTES[piece.dtype];
    if (element === undefined) throw new EdgeError('INTERNAL', `No dtype ${piece.dtype} in safetensors`);
    return { piece, element, bytes: elementCount(piece.shape) * element };
  });
  // Multiples of 8 keep what follows aligned; the rest goes by falling element size; then by name.
  const rank = ({ element, bytes }: (typeof sized)[number]) => (bytes % 8 === 0 ? 16 : element);
  const ordered = [...sized].sort((a, b) => rank(b) - rank(a) || (a.piece.name < b.piece.name ? -1 : 1));
  const header: Record<string, unknown> = { __metadata__: metadata };
  let at = 0;
  for (const { piece, bytes } of ordered) {
    header[piece.name] = { dtype: piece.dtype, shape: piece.shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text, 8);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  yield padded;
  for (const { piece, bytes } of ordered) {
    let written = 0;
    for await (const chunk of typeof piece.data === 'function' ? piece.data() : [piece.data]) {
      written += chunk.length;
      yield chunk;
    }
    if (written !== bytes)
      throw new EdgeError('INTERNAL', `Tensor '${piece.name}' should take ${bytes} bytes, ${written} came`);
  }
}
