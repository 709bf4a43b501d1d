/** Builds GGUF files, honest or not. */

export type GgufValue =
  | { u32: number }
  | { f32: number }
  | { u64: number | bigint }
  | { bool: boolean }
  | { string: string }
  | { array: [type: number, items: (number | string)[]] }
  | { f32s: number[] }
  | { raw: [type: number, bytes: number[]] };

export interface GgufTensor {
  name: string;
  ne: (number | bigint)[]; // fastest first
  type: number;
  data?: Uint8Array;
  offset?: number | bigint; // where it really is, if absent
}

const utf8 = new TextEncoder();

class Writer {
  readonly bytes: number[] = [];
  u32(x: number): void {
    for (let i = 0; i < 4; i++) this.bytes.push((x >>> (8 * i)) & 255);
  }
  u64(x: number | bigint): void {
    for (let i = 0n; i < 8n; i++) this.bytes.push(Number((BigInt(x) >> (8n * i)) & 255n));
  }
  f32(x: number): void {
    this.u32(new Uint32Array(new Float32Array([x]).buffer)[0]!);
  }
  string(text: string): void {
    const bytes = utf8.encode(text);
    this.u64(bytes.length);
    for (const byte of bytes) this.bytes.push(byte);
  }
  value(value: GgufValue): void {
    if ('u32' in value) this.typed(4, () => this.u32(value.u32));
    else if ('f32' in value) this.typed(6, () => this.f32(value.f32));
    else if ('bool' in value) this.typed(7, () => this.bytes.push(Number(value.bool)));
    else if ('string' in value) this.typed(8, () => this.string(value.string));
    else if ('u64' in value) this.typed(10, () => this.u64(value.u64));
    else if ('f32s' in value) {
      const words = new Uint32Array(Float32Array.from(value.f32s).buffer);
      this.typed(9, () => this.array(6, [...words]));
    } else if ('raw' in value) this.typed(value.raw[0], () => this.bytes.push(...value.raw[1]));
    else this.typed(9, () => this.array(...value.array));
  }
  private typed(type: number, write: () => void): void {
    this.u32(type);
    write();
  }
  private array(type: number, items: (number | string)[]): void {
    this.u32(type);
    this.u64(items.length);
    for (const item of items)
      if (typeof item === 'string') this.string(item);
      else this.u32(item);
  }
}

export function gguf(
  metadata: [string, GgufValue][],
  tensors: GgufTensor[] = [],
  {
    version = 3,
    tensorCount = tensors.length as number | bigint,
    pairCount = metadata.length as number | bigint,
    alignment = 32,
  } = {},
): Uint8Array {
  const out = new Writer();
  out.u32(0x46554747);
  out.u32(version);
  out.u64(tensorCount);
  out.u64(pairCount);
  for (const [key, value] of metadata) {
    out.string(key);
    out.value(value);
  }
  const pad = (n: number) => Math.ceil(n / alignment) * alignment;
  let at = 0;
  for (const { name, ne, type, data, offset } of tensors) {
    out.string(name);
    out.u32(ne.length);
    for (const n of ne) out.u64(n);
    out.u32(type);
    out.u64(offset ?? at);
    at = pad(at + (data?.length ?? 0));
  }
  const begin = pad(out.bytes.length);
  const file = new Uint8Array(begin + at);
  file.set(out.bytes);
  at = begin;
  for (const { data } of tensors) {
    if (data) file.set(data, at);
    at = pad(at + (data?.length ?? 0));
  }
  return file;
}
