import { EdgeError, messageOf } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import { u64At, viewOf } from './bytes.ts';

/** Limits of a ZIP archive; beyond them, INVALID_FILE. */
export const ZIP_LIMITS = {
  directoryBytes: 16 * 2 ** 20,
  entries: 65_536,
  nameLength: 1024, // bytes
  inflatedBytes: 2 ** 31, // of one deflated entry; stored ones are as large as they are
} as const;

const DEFLATE_RATIO = 1032; // no deflated stream grows by more

const END = 0x06054b50;
const END64_LOCATOR = 0x07064b50;
const END64 = 0x06064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;

export interface ZipEntry {
  name: string; // plain relative path
  deflated: boolean;
  packed: number; // bytes in the archive
  size: number; // bytes
  crc: number;
  header: number; // where its local header lies
  limit: number; // where its bytes must have ended: the next header
}

/** Does a file begin as ZIP archives do? */
export async function isZip(source: ByteSource, signal?: AbortSignal): Promise<boolean> {
  if (source.size < 22) return false;
  return viewOf(await source.read(0, 4, signal)).getUint32(0, true) === LOCAL;
}

/**
 * The entries of a ZIP archive by name, ZIP64 too. Refused are archives of several parts, encrypted entries, methods
 * other than stored and deflated, names that lead out of a folder or occur twice, and entries that overlap.
 * @throws INVALID_FILE
 */
export async function readZip(source: ByteSource, signal?: AbortSignal): Promise<Map<string, ZipEntry>> {
  const { at, bytes, count } = await findDirectory(source, signal);
  const view = viewOf(await source.read(at, bytes, signal));
  const entries = new Map<string, ZipEntry>();
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const { entry, length } = readEntry(source.name, view, offset);
    offset += length;
    if (entries.has(entry.name)) throw fault(source.name, `entry '${shorten(entry.name)}' occurs twice`);
    entries.set(entry.name, entry);
  }
  if (offset !== bytes) throw fault(source.name, 'its directory is not as long as it says');
  place(source.name, [...entries.values()], at);
  return entries;
}

/** Where the directory lies, and how many entries it has. */
async function findDirectory(source: ByteSource, signal: AbortSignal | undefined) {
  const length = Math.min(source.size, 65_535 + 22 + 20);
  const base = source.size - length;
  const view = viewOf(await source.read(base, length, signal));
  let end = length - 22;
  while (
    end >= 0 &&
    !(view.getUint32(end, true) === END && end + 22 + view.getUint16(end + 20, true) === length)
  )
    end--;
  if (end < 0) throw fault(source.name, 'it has no end; a download may have been cut short');
  let disks = view.getUint32(end + 4, true); // this one and the directory's, 16 bits each
  let count = view.getUint16(end + 10, true);
  let bytes = view.getUint32(end + 12, true);
  let at = view.getUint32(end + 16, true);
  let limit = base + end;
  if (end >= 20 && view.getUint32(end - 20, true) === END64_LOCATOR) {
    const wide = u64At(view, end - 12);
    if (wide + 56 > limit) throw fault(source.name, 'the ZIP64 end lies beyond the file');
    const record = viewOf(await source.read(wide, 56, signal));
    if (record.getUint32(0, true) !== END64) throw fault(source.name, 'the ZIP64 end is missing');
    disks = record.getUint32(16, true) | record.getUint32(20, true);
    count = u64At(record, 32);
    bytes = u64At(record, 40);
    at = u64At(record, 48);
    limit = wide;
  }
  if (disks !== 0) throw fault(source.name, 'it is one of several parts; join them first');
  if (count > ZIP_LIMITS.entries)
    throw fault(source.name, `${count} entries; at most ${ZIP_LIMITS.entries} are read`);
  if (bytes > ZIP_LIMITS.directoryBytes)
    throw fault(source.name, `a directory of ${bytes} bytes; at most ${ZIP_LIMITS.directoryBytes} are read`);
  if (at + bytes > limit) throw fault(source.name, 'its directory lies beyond its end');
  return { at, bytes, count };
}

function readEntry(file: string, view: DataView, at: number): { entry: ZipEntry; length: number } {
  if (at + 46 > view.byteLength || view.getUint32(at, true) !== CENTRAL)
    throw fault(file, 'its directory is damaged');
  const [nameLength, extraLength, commentLength] = [28, 30, 32].map((i) => view.getUint16(at + i, true));
  const length = 46 + nameLength! + extraLength! + commentLength!;
  if (at + length > view.byteLength) throw fault(file, 'its directory is damaged');
  if (nameLength! > ZIP_LIMITS.nameLength)
    throw fault(file, `a name of ${nameLength} bytes; at most ${ZIP_LIMITS.nameLength} are read`);
  const name = new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameLength));
  const label = `entry '${shorten(name)}'`;
  if (!isInside(name)) throw fault(file, `${label} has a name that leads out of its folder`);
  if (view.getUint16(at + 8, true) & 1) throw fault(file, `${label} is encrypted`);
  const method = view.getUint16(at + 10, true);
  if (method !== 0 && method !== 8)
    throw fault(file, `${label} is packed by method ${method}; stored (0) and deflated (8) are read`);
  const [packed, size, header] = wideFields(view, at, at + 46 + nameLength!, extraLength!);
  const entry: ZipEntry = {
    name,
    deflated: method === 8,
    packed: packed!,
    size: size!,
    crc: view.getUint32(at + 16, true),
    header: header!,
    limit: 0,
  };
  checkSizes(file, label, entry);
  return { entry, length };
}

function checkSizes(file: string, label: string, { deflated, packed, size }: ZipEntry): void {
  if (!deflated && packed !== size)
    throw fault(file, `${label} is stored, but of ${size} bytes in ${packed}`);
  if (!deflated) return;
  if (size > DEFLATE_RATIO * packed + 64)
    throw fault(file, `${label} is said to be ${size} bytes in ${packed}, which no deflated stream can be`);
  if (size > ZIP_LIMITS.inflatedBytes)
    throw fault(file, `${label} has ${size} bytes deflated; at most ${ZIP_LIMITS.inflatedBytes} are read`);
}

/** Packed size, size and offset; those of 2^32 − 1 stand in the ZIP64 extra field, in the order size, packed, offset. */
function wideFields(view: DataView, at: number, extra: number, extraLength: number): number[] {
  const fields = [20, 24, 42].map((i) => view.getUint32(at + i, true)); // packed, size, header
  for (let from = extra; from + 4 <= extra + extraLength; ) {
    const id = view.getUint16(from, true);
    const end = Math.min(from + 4 + view.getUint16(from + 2, true), extra + extraLength);
    from += 4;
    if (id === 1)
      for (const i of [1, 0, 2])
        if (fields[i] === 0xffffffff && from + 8 <= end) {
          fields[i] = u64At(view, from);
          from += 8;
        }
    from = end;
  }
  return fields;
}

/** Each entry ends before the next one's header, the last before the directory. */
function place(file: string, entries: ZipEntry[], directory: number): void {
  let limit = directory;
  for (const entry of entries.sort((a, b) => b.header - a.header)) {
    entry.limit = limit;
    if (!(entry.header + 30 + entry.packed <= limit))
      throw fault(file, `entry '${shorten(entry.name)}' overlaps what comes after it`);
    limit = entry.header;
  }
}

/** The bytes of an entry. Stored ones are read by ranges; a deflated one is inflated as a whole when it is read. */
export class ZipSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  private start: Promise<number> | null = null;
  private inflated: Promise<Uint8Array> | null = null;

  constructor(
    private readonly archive: ByteSource,
    private readonly entry: ZipEntry,
  ) {
    this.name = `${archive.name}: ${entry.name}`;
    this.size = entry.size;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    if (offset + length > this.size)
      throw fault(
        this.archive.name,
        `entry '${shorten(this.entry.name)}' ends before byte ${offset + length}`,
      );
    this.start ??= this.findStart(signal);
    const start = await this.start.catch((error) => {
      this.start = null; // an aborted read is no reason to fail the next one
      throw error;
    });
    if (!this.entry.deflated) return this.archive.read(start + offset, length, signal);
    this.inflated ??= this.inflate(start, signal);
    const bytes = await this.inflated.catch((error) => {
      this.inflated = null;
      throw error;
    });
    if (offset + length === this.size) this.inflated = null; // read to its end: seldom wanted again
    return bytes.subarray(offset, offset + length);
  }

  /** Checks the bytes against their checksum. @throws INVALID_FILE */
  async readWhole(signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.read(0, this.size, signal);
    if (crc32(bytes) !== this.entry.crc)
      throw fault(this.archive.name, `entry '${shorten(this.entry.name)}' does not match its checksum`);
    return bytes;
  }

  async close(): Promise<void> {}

  private async findStart(signal: AbortSignal | undefined): Promise<number> {
    const { header, packed, limit, name } = this.entry;
    const view = viewOf(await this.archive.read(header, 30, signal));
    const start = header + 30 + view.getUint16(26, true) + view.getUint16(28, true);
    if (view.getUint32(0, true) !== LOCAL || start + packed > limit)
      throw fault(this.archive.name, `entry '${shorten(name)}' is not where the directory says`);
    return start;
  }

  private async inflate(start: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const { packed, name } = this.entry;
    const bytes = await this.archive.read(start, packed, signal);
    const out = new Uint8Array(this.size);
    const refuse = (why: string) => fault(this.archive.name, `entry '${shorten(name)}' ${why}`);
    let filled = 0;
    try {
      const stream = new Blob([bytes.slice()]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
      const reader = stream.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (filled + value.length > out.length) {
          await reader.cancel();
          throw refuse(`inflates to more than the ${out.length} bytes that it is said to have`);
        }
        out.set(value, filled);
        filled += value.length;
      }
    } catch (cause) {
      if (cause instanceof EdgeError) throw cause;
      throw refuse(`cannot be inflated: ${messageOf(cause)}`);
    }
    if (filled !== out.length)
      throw refuse(`inflates to ${filled} bytes, not the ${out.length} that it is said to have`);
    if (crc32(out) !== this.entry.crc) throw refuse('does not match its checksum');
    return out;
  }
}

let crcTable: Uint32Array | undefined; // [256]

/** The checksum of ZIP: CRC-32, reflected polynomial 0xEDB88320. */
export function crc32(bytes: Uint8Array): number {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    return c;
  });
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ crcTable[(crc ^ bytes[i]!) & 255]!;
  return ~crc >>> 0;
}

function isInside(name: string): boolean {
  if (name === '' || name.startsWith('/') || /[\\\0:]/.test(name)) return false;
  return !name.split('/').some((part) => part === '..' || part === '.');
}

function shorten(name: string): string {
  return name.slice(0, 100);
}

function fault(file: string, message: string): EdgeError {
  return new EdgeError('INVALID_FILE', `${file}: the ZIP archive is damaged: ${message}`);
}
