import { EdgeError } from '../errors.ts';
import { GGML_TYPES } from './gguf_header.ts';
import { elementCount } from './shape.ts';

/** A value of GGUF's metadata, with its type. Arrays hold strings, or numbers of 32 bits. */
export type GgufValue =
  | { u32: number }
  | { i32: number }
  | { f32: number }
  | { bool: boolean }
  | { string: string }
  | { strings: readonly string[] }
  | { i32s: readonly number[] }
  | { f32s: readonly number[] };

/** A tensor to be written. */
export interface GgufPiece {
  name: string;
  type: string; // 'F32', 'Q4_0'
  shape: readonly number[]; // slowest dimension first
  data(): AsyncIterable<Uint8Array>;
}

const ALIGNMENT = 32; // bytes, of each tensor
const [U32, I32, F32, BOOL, STRING, ARRAY] = [4, 5, 6, 7, 8, 9];

/** The bytes of a GGUF file of version 3, piece by piece: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
export async function* ggufChunks(
  metadata: Readonly<Record<string, GgufValue>>,
  pieces: readonly GgufPiece[],
): AsyncGenerator<Uint8Array> {
  const writer = new Writer();
  writer.u32(0x46554747);
  writer.u32(3);
  writer.u64(pieces.length);
  writer.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    writer.string(key);
    writer.value(value);
  }
  const sizes = pieces.map(bytesOf);
  let offset = 0;
  for (const [i, { name, type, shape }] of pieces.entries()) {
    writer.string(name);
    writer.u32(shape.length);
    for (const dim of [...shape].reverse()) writer.u64(dim);
    writer.u32(typeId(type));
    writer.u64(offset);
    offset += aligned(sizes[i]!);
  }
  const header = writer.bytes();
  yield header;
  yield padding(header.length);
  for (const [i, piece] of pieces.entries()) {
    let written = 0;
    for await (const bytes of piece.data()) {
      written += bytes.length;
      yield bytes;
    }
    if (written !== sizes[i])
      throw new EdgeError('INTERNAL', `'${piece.name}' has ${written} bytes, ${sizes[i]} were announced`);
    yield padding(written);
  }
}

function typeId(name: string): number {
  const found = Object.entries(GGML_TYPES).find(([, type]) => type.name === name);
  if (!found) throw new EdgeError('INTERNAL', `No type ${name} in GGUF`);
  return Number(found[0]);
}

function bytesOf({ type, shape }: GgufPiece): number {
  const { block, bytes } = GGML_TYPES[typeId(type)]!;
  return (elementCount(shape) / block) * bytes;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function padding(bytes: number): Uint8Array {
  return new Uint8Array(aligned(bytes) - bytes);
}

class Writer {
  private buffer = new DataView(new ArrayBuffer(2 ** 16));
  private at = 0;
  private readonly text = new TextEncoder();

  bytes(): Uint8Array {
    return new Uint8Array(this.buffer.buffer, 0, this.at);
  }

  u32(value: number): void {
    this.reserve(4).setUint32(this.at, value, true);
    this.at += 4;
  }

  f32(value: number): void {
    this.reserve(4).setFloat32(this.at, value, true);
    this.at += 4;
  }

  u64(value: number): void {
    this.reserve(8).setBigUint64(this.at, BigInt(value), true);
    this.at += 8;
  }

  string(value: string): void {
    const bytes = this.text.encode(value);
    this.u64(bytes.length);
    this.reserve(bytes.length);
    new Uint8Array(this.buffer.buffer, this.at).set(bytes);
    this.at += bytes.length;
  }

  value(value: GgufValue): void {
    if ('u32' in value) {
      this.u32(U32!);
      this.u32(value.u32);
    } else if ('i32' in value) {
      this.u32(I32!);
      this.u32(value.i32 >>> 0);
    } else if ('f32' in value) {
      this.u32(F32!);
      this.f32(value.f32);
    } else if ('bool' in value) {
      this.u32(BOOL!);
      this.reserve(1).setUint8(this.at, Number(value.bool));
      this.at += 1;
    } else if ('string' in value) {
      this.u32(STRING!);
      this.string(value.string);
    } else if ('strings' in value) {
      this.array(STRING!, value.strings.length);
      for (const item of value.strings) this.string(item);
    } else if ('i32s' in value) {
      this.array(I32!, value.i32s.length);
      for (const item of value.i32s) this.u32(item >>> 0);
    } else {
      this.array(F32!, value.f32s.length);
      for (const item of value.f32s) this.f32(item);
    }
  }

  private array(type: number, length: number): void {
    this.u32(ARRAY!);
    this.u32(type);
    this.u64(length);
  }

  private reserve(bytes: number): DataView<ArrayBuffer> {
    if (this.at + bytes > this.buffer.byteLength) {
      const larger = new Uint8Array(Math.max(2 * this.buffer.byteLength, this.at + bytes));
      larger.set(this.bytes());
      this.buffer = new DataView(larger.buffer);
    }
    return this.buffer as DataView<ArrayBuffer>;
  }
}
