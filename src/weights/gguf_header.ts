import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { u64At, viewOf } from './bytes.ts';
import { elementCount } from './shape.ts';

/** Limits of a GGUF header; beyond them, INVALID_FILE. */
export const GGUF_LIMITS = {
  headerBytes: 128 * 2 ** 20,
  pairs: 65_536,
  tensors: 65_536,
  keyLength: 65_535, // bytes
  stringLength: 16 * 2 ** 20, // bytes
  elements: 8_000_000, // of all arrays together
  nesting: 4, // of arrays
  nameLength: 512, // bytes
  dims: 4,
} as const;

/** Elements and bytes of a block, by ggml type id. */
export const GGML_TYPES: Readonly<Record<number, { name: string; block: number; bytes: number }>> = {
  0: { name: 'F32', block: 1, bytes: 4 },
  1: { name: 'F16', block: 1, bytes: 2 },
  2: { name: 'Q4_0', block: 32, bytes: 18 },
  3: { name: 'Q4_1', block: 32, bytes: 20 },
  6: { name: 'Q5_0', block: 32, bytes: 22 },
  7: { name: 'Q5_1', block: 32, bytes: 24 },
  8: { name: 'Q8_0', block: 32, bytes: 34 },
  9: { name: 'Q8_1', block: 32, bytes: 36 },
  10: { name: 'Q2_K', block: 256, bytes: 84 },
  11: { name: 'Q3_K', block: 256, bytes: 110 },
  12: { name: 'Q4_K', block: 256, bytes: 144 },
  13: { name: 'Q5_K', block: 256, bytes: 176 },
  14: { name: 'Q6_K', block: 256, bytes: 210 },
  15: { name: 'Q8_K', block: 256, bytes: 292 },
  20: { name: 'IQ4_NL', block: 32, bytes: 18 },
  23: { name: 'IQ4_XS', block: 256, bytes: 136 },
  24: { name: 'I8', block: 1, bytes: 1 },
  25: { name: 'I16', block: 1, bytes: 2 },
  26: { name: 'I32', block: 1, bytes: 4 },
  27: { name: 'I64', block: 1, bytes: 8 },
  28: { name: 'F64', block: 1, bytes: 8 },
  30: { name: 'BF16', block: 1, bytes: 2 },
};

export interface GgufEntry {
  name: string;
  type: string; // 'Q4_0'; 'type 99' if unknown
  shape: number[]; // slowest dimension first, as everywhere here; GGUF's own order is the reverse
  begin: number; // bytes of the file
  end: number;
}

export interface GgufHeader {
  version: number;
  metadata: JsonObject;
  entries: readonly GgufEntry[];
}

/** Reads and checks the header of a GGUF file, version 2 or 3. @throws INVALID_FILE, UNSUPPORTED_MODEL */
export async function readGgufHeader(source: ByteSource, signal?: AbortSignal): Promise<GgufHeader> {
  const most = Math.min(source.size, GGUF_LIMITS.headerBytes);
  // Nothing says how long the header is: read more of it until it parses.
  for (let length = Math.min(most, 2 ** 20); ; length = Math.min(most, 4 * length)) {
    const bytes = await source.read(0, length, signal);
    try {
      return parseGguf(source, bytes);
    } catch (error) {
      if (error !== MORE) throw error;
      if (length === most)
        throw new EdgeError(
          'INVALID_FILE',
          most < source.size
            ? `${source.name}: the GGUF header takes more than ${most} bytes`
            : `${source.name}: the GGUF header does not end within the file's ${most} bytes; a download may have been cut short`,
        );
    }
  }
}

/** Thrown where the header goes on beyond the bytes at hand. */
const MORE = new Error('more bytes are needed');

function parseGguf(source: ByteSource, bytes: Uint8Array): GgufHeader {
  const reader = new Reader(source.name, bytes);
  if (reader.u32() !== 0x46554747) throw reader.fault("expected a file that begins with 'GGUF'");
  const version = reader.u32();
  if (version !== 2 && version !== 3)
    throw new EdgeError(
      'UNSUPPORTED_MODEL',
      `${source.name}: GGUF version ${version}; versions 2 and 3, little-endian, are read`,
    );
  const tensorCount = reader.count('tensors', GGUF_LIMITS.tensors);
  const pairCount = reader.count('metadata pairs', GGUF_LIMITS.pairs);
  const metadata: JsonObject = {};
  for (let i = 0; i < pairCount; i++) {
    const key = reader.string(GGUF_LIMITS.keyLength);
    if (Object.hasOwn(metadata, key)) throw reader.fault(`metadata key '${key.slice(0, 100)}' occurs twice`);
    const value = reader.value(reader.u32(), 0);
    Object.defineProperty(metadata, key, { value, enumerable: true, writable: true, configurable: true });
  }
  const raw = Array.from({ length: tensorCount }, () => readInfo(reader));
  const alignment = metadata['general.alignment'] ?? 32;
  if (
    typeof alignment !== 'number' ||
    alignment < 1 ||
    alignment > 2 ** 20 ||
    !Number.isInteger(Math.log2(alignment))
  )
    throw reader.fault(
      `expected general.alignment to be a power of two, found ${JSON.stringify(alignment).slice(0, 80)}`,
    );
  const begin = Math.ceil(reader.at / alignment) * alignment;
  const entries = raw.map((info) => placed(reader, info, begin, alignment, source.size));
  checkEntries(reader, entries);
  return { version, metadata, entries };
}

interface Info {
  name: string;
  dims: number[]; // fastest first
  type: number;
  offset: number;
}

function readInfo(reader: Reader): Info {
  const name = reader.string(GGUF_LIMITS.nameLength);
  if (name === '') throw reader.fault('a tensor without a name');
  const count = reader.u32();
  if (count > GGUF_LIMITS.dims)
    throw reader.fault(
      `tensor '${name.slice(0, 100)}': ${count} dimensions; at most ${GGUF_LIMITS.dims} are read`,
    );
  const dims = Array.from({ length: count }, () => reader.u64());
  return { name, dims, type: reader.u32(), offset: reader.u64() };
}

function placed(
  reader: Reader,
  { name, dims, type, offset }: Info,
  data: number,
  alignment: number,
  size: number,
): GgufEntry {
  const label = `tensor '${name.slice(0, 100)}'`;
  const known = GGML_TYPES[type];
  const elements = elementCount(dims);
  const row = dims[0] ?? 1;
  if (!Number.isSafeInteger(elements))
    throw reader.fault(`${label}: a shape of [${dims}] is too large to be true`);
  if (known && row % known.block !== 0)
    throw reader.fault(
      `${label}: rows of ${row} are no multiple of ${known.name}'s blocks of ${known.block}`,
    );
  const bytes = known ? (elements / known.block) * known.bytes : 0;
  const begin = data + offset;
  if (offset % alignment !== 0)
    throw reader.fault(`${label}: offset ${offset} is no multiple of ${alignment}`);
  if (!Number.isSafeInteger(begin + bytes) || begin + bytes > size)
    throw reader.fault(
      `${label}: should lie at bytes ${begin} to ${begin + bytes}, but the file has ${size}; a download may have been cut short`,
    );
  return { name, type: known?.name ?? `type ${type}`, shape: [...dims].reverse(), begin, end: begin + bytes };
}

function checkEntries(reader: Reader, entries: readonly GgufEntry[]): void {
  const names = new Set<string>();
  for (const { name } of entries) {
    if (names.has(name)) throw reader.fault(`tensor '${name.slice(0, 100)}' occurs twice`);
    names.add(name);
  }
  let before: GgufEntry | null = null;
  for (const entry of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (before && entry.begin < before.end)
      throw reader.fault(`tensors '${before.name.slice(0, 100)}' and '${entry.name.slice(0, 100)}' overlap`);
    before = entry;
  }
}

/** Little-endian values, one after the other. */
class Reader {
  at = 0;
  private elements = 0;
  private readonly view: DataView;
  private readonly text = new TextDecoder('utf-8', { ignoreBOM: true }); // torn characters of tokens read as U+FFFD

  constructor(
    private readonly name: string,
    private readonly bytes: Uint8Array,
  ) {
    this.view = viewOf(bytes);
  }

  fault(message: string): EdgeError {
    return new EdgeError('INVALID_FILE', `${this.name}: ${message}`);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  u64(): number {
    return u64At(this.view, this.take(8));
  }

  count(what: string, limit: number): number {
    const count = this.u64();
    if (count > limit) throw this.fault(`${count} ${what}; at most ${limit} are read`);
    return count;
  }

  string(limit: number): string {
    const length = this.u64();
    if (length > limit) throw this.fault(`a string of ${length} bytes; at most ${limit} are read`);
    const at = this.take(length);
    return this.text.decode(this.bytes.subarray(at, at + length));
  }

  value(type: number, depth: number): JsonValue {
    const { view } = this;
    switch (type) {
      case 0:
        return view.getUint8(this.take(1));
      case 1:
        return view.getInt8(this.take(1));
      case 2:
        return view.getUint16(this.take(2), true);
      case 3:
        return view.getInt16(this.take(2), true);
      case 4:
        return this.u32();
      case 5:
        return view.getInt32(this.take(4), true);
      case 6:
        return view.getFloat32(this.take(4), true);
      case 7:
        return view.getUint8(this.take(1)) !== 0;
      case 8:
        return this.string(GGUF_LIMITS.stringLength);
      case 9:
        return this.array(depth + 1);
      case 10:
        return this.u64();
      case 11:
        return Number(view.getBigInt64(this.take(8), true));
      case 12:
        return view.getFloat64(this.take(8), true);
      default:
        throw this.fault(`metadata of unknown type ${type}`);
    }
  }

  private array(depth: number): JsonValue {
    if (depth > GGUF_LIMITS.nesting) throw this.fault(`arrays nested deeper than ${GGUF_LIMITS.nesting}`);
    const type = this.u32();
    const length = this.count('elements of an array', GGUF_LIMITS.elements);
    this.elements += length;
    if (this.elements > GGUF_LIMITS.elements)
      throw this.fault(`arrays of more than ${GGUF_LIMITS.elements} elements`);
    const items: JsonValue[] = [];
    for (let i = 0; i < length; i++) items.push(this.value(type, depth));
    return items;
  }

  private take(length: number): number {
    const at = this.at;
    if (length > this.bytes.length - at) throw MORE;
    this.at += length;
    return at;
  }
}
