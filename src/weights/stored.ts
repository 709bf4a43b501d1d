import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import type { FloatTensor, QuantTensor } from '../types.ts';
import { bf16ToF32, f8ToF16 } from './half.ts';
import { murmur128 } from './hash.ts';
import { elementCount } from './shape.ts';
import type { StoredTensor } from './types.ts';

const SAMPLE = 4096; // bytes

/** Bytes that can be read from any place on. */
export interface ByteRange {
  readonly size: number; // in the file
  /** May `read` be given `into`? Then what it answers lies at its beginning. */
  readonly fills: boolean;
  read(offset: number, length: number, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array>;
  digest(signal?: AbortSignal): Promise<string>;
}

/** Bytes [begin, end) of a file. Keeps hashes of the first and last 4 KiB for the fingerprint. */
export class StoredBytes implements ByteRange {
  readonly size: number;
  private first: string | null = null;
  private last: string | null = null;

  constructor(
    private readonly source: ByteSource,
    private readonly begin: number,
    end: number,
  ) {
    this.size = end - begin;
  }

  get fills(): boolean {
    return this.source.readInto !== undefined;
  }

  async read(offset: number, length: number, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array> {
    if (length === 0) return new Uint8Array(0);
    const bytes = into
      ? into.subarray(0, length)
      : await this.source.read(this.begin + offset, length, signal);
    if (into) await this.source.readInto!(this.begin + offset, bytes, signal);
    const sample = Math.min(SAMPLE, this.size);
    if (offset === 0 && length >= sample) this.first ??= murmur128(bytes.subarray(0, sample));
    if (offset + length === this.size && length >= sample)
      this.last ??= murmur128(bytes.subarray(length - sample));
    return bytes;
  }

  async digest(signal?: AbortSignal): Promise<string> {
    const sample = Math.min(SAMPLE, this.size);
    if (sample === 0) return 'empty';
    if (this.first === null) await this.read(0, sample, signal);
    if (this.last === null) await this.read(this.size - sample, sample, signal);
    return `${this.first}${this.last}`;
  }
}

/** [rows, cols] of a shape without its dimensions of 1. */
export function matrixOf(shape: readonly number[]): { rows: number; cols: number } {
  const dims = shape.filter((n) => n !== 1);
  const cols = dims.at(-1) ?? 1;
  return { rows: elementCount(dims.slice(0, -1)), cols };
}

/** The bytes as 16-bit words; copied where they aren't aligned. */
export function asU16(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}

/** The bytes as f32; copied where they aren't aligned. */
export function asF32(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}

interface Stored {
  name: string;
  file: string;
  dtype: string;
  shape: readonly number[];
}

interface FloatDtype {
  bytes: number;
  as: 'f32' | 'f16'; // without loss
  values(bytes: Uint8Array): FloatTensor['data'];
}

const FLOATS: Readonly<Record<string, FloatDtype>> = {
  F32: { bytes: 4, as: 'f32', values: asF32 },
  F16: { bytes: 2, as: 'f16', values: asU16 },
  BF16: { bytes: 2, as: 'f32', values: (bytes) => bf16ToF32(asU16(bytes)) },
  F8_E4M3: { bytes: 1, as: 'f16', values: (bytes) => f8ToF16(bytes, 'F8_E4M3') },
  F8_E5M2: { bytes: 1, as: 'f16', values: (bytes) => f8ToF16(bytes, 'F8_E5M2') },
};

/** A tensor as it lies in its file. */
interface PlainTensor extends StoredTensor {
  readonly raw: ByteRange;
}

/** The bytes of a tensor of `floatStored`, for readers that know what else they mean; null of others. */
export function rawBytes(tensor: StoredTensor): ByteRange | null {
  return 'raw' in tensor ? (tensor as PlainTensor).raw : null;
}

/** A tensor of a float dtype (FLOATS); of any other dtype it has a shape, but refuses to be read. */
export function floatStored(what: Stored, bytes: StoredBytes): PlainTensor {
  const { dtype, shape } = what;
  const { rows, cols } = matrixOf(shape);
  const float = Object.hasOwn(FLOATS, dtype) ? FLOATS[dtype]! : null;
  const format = float && ({ kind: 'float', dtype: float.as } as const);
  return {
    ...what,
    raw: bytes,
    rows,
    cols,
    bytes: bytes.size,
    format,
    digest: (signal) => bytes.digest(signal),
    async read(row, count, signal): Promise<FloatTensor> {
      if (!format) throw unreadable(what);
      const stride = cols * float!.bytes;
      const found = await bytes.read(row * stride, count * stride, signal);
      return { format, rows: count, cols, data: float!.values(found) };
    },
  };
}

/** A matrix [rows, cols] of codes, scales and perhaps biases, each with bytes of its own. */
export function quantStored(
  what: Stored & { shape: readonly [number, number] },
  format: QuantTensor['format'],
  parts: { q: ByteRange; scale: ByteRange; bias: ByteRange | null },
  bf16 = false, // scales and biases in the file, f32 in the format
): StoredTensor {
  const [rows, cols] = what.shape; // a column of 1 stays one: each row has bytes of its own
  const rowBytes = Math.ceil((cols * format.bits) / 8);
  const groups = Math.ceil(cols / format.group);
  const valueBytes = format.scaleDtype === 'f16' ? 2 : 4;
  const groupBytes = groups * (bf16 ? 2 : valueBytes); // of a row's scales, in the file
  const present = [parts.q, parts.scale, ...(parts.bias ? [parts.bias] : [])];
  const plain = format.scaleDtype === 'f16' ? asU16 : asF32;
  const aligned = (bytes: number) => Math.ceil(bytes / 16) * 16;
  const placed = bf16 ? parts.q.fills : present.every(({ fills }) => fills);
  return {
    ...what,
    rows,
    cols,
    bytes: present.reduce((sum, part) => sum + part.size, 0),
    format,
    ...(placed && {
      placeBytes: (count: number) =>
        aligned(count * rowBytes) + (present.length - 1) * aligned(count * groups * valueBytes),
    }),
    async digest(signal) {
      let digest = '';
      for (const part of present) digest += await part.digest(signal);
      return digest;
    },
    async read(row, count, signal, into): Promise<QuantTensor> {
      const numbers = async (part: ByteRange, place?: Uint8Array) => {
        const own = bf16 ? undefined : place;
        const bytes = await part.read(row * groupBytes, count * groupBytes, signal, own);
        if (!bf16) return plain(bytes);
        return bf16ToF32(
          asU16(bytes),
          place && new Float32Array(place.buffer, place.byteOffset, count * groups),
        );
      };
      const scales = into?.subarray(aligned(count * rowBytes));
      const biases = scales?.subarray(aligned(count * groups * valueBytes));
      const [q, scale, bias] = await Promise.all([
        parts.q.read(row * rowBytes, count * rowBytes, signal, into),
        numbers(parts.scale, scales),
        parts.bias && numbers(parts.bias, biases),
      ]);
      return { format, rows: count, cols, q, scale, bias };
    },
  };
}

/** Consecutive rows of a matrix, or elements of a vector of floats, as a tensor of their own. */
export function partOfStored(tensor: StoredTensor, first: number, count: number): StoredTensor {
  const vector = tensor.shape.length === 1;
  const share = count / (tensor.shape[0] ?? 1);
  return {
    ...tensor,
    shape: [count, ...tensor.shape.slice(1)],
    ...(vector ? { cols: count } : { rows: count }),
    bytes: tensor.bytes * share,
    async read(row, rows, signal, into) {
      if (!vector) return tensor.read(first + row, rows, signal, into);
      const whole = await tensor.read(row, rows, signal);
      if ('q' in whole) throw unreadable(tensor);
      return { ...whole, cols: count, data: whole.data.slice(first, first + count) };
    },
  };
}

export function unreadable({ name, file, dtype }: Stored): EdgeError {
  return new EdgeError(
    'UNSUPPORTED_MODEL',
    `${file}: tensor '${name}' is ${dtype}, which cannot be read yet; convert it to F32, F16 or BF16`,
  );
}
