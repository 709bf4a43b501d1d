import { EdgeError } from '../../errors.ts';

/** Bytes of the one linear memory, from `offset` on. */
export interface Region {
  name: string;
  offset: number;
  bytes: number;
}

/** Bytes that the linker gives the module itself: its own stack and data (`__heap_base` must not lie above). */
export const MODULE_BYTES = 128 * 1024;
export const PAGE_BYTES = 65536;
/** Bytes that 32-bit addresses reach, and that runtimes allow of 64-bit ones; as far as `addressOf` goes. */
export const REACH = { memory32: 2 ** 32, memory64: 2 ** 34 };
const ALIGNMENT = 64; // a cache line

/** A byte offset as the module takes it: in units of 4 bytes, so that 32 bits reach 16 GiB. */
export function addressOf(offset: number): number {
  const address = offset / 4;
  if (Number.isInteger(address) && address >= 0 && address < 2 ** 32) return address;
  throw new EdgeError('INTERNAL', `WASM memory: offset ${offset} is no multiple of 4 below ${2 ** 34}`);
}

/**
 * Hands out the linear memory before it exists. With `gap`, regions lie that many bytes apart, so that a sanitizer
 * notices what leaves them.
 */
export class Arena {
  readonly regions: Region[] = [];
  private end = MODULE_BYTES;

  constructor(private readonly gap = 0) {}

  /** Leaves `bytes` out. */
  skip(bytes: number): void {
    this.end = ceilTo(this.end + bytes, ALIGNMENT);
  }

  take(name: string, bytes: number): Region {
    const region = { name, offset: this.end, bytes: ceilTo(bytes, 16) };
    this.regions.push(region);
    this.end = ceilTo(this.end + region.bytes + this.gap, ALIGNMENT);
    return region;
  }

  /** Bytes of the memory that holds it all. */
  get bytes(): number {
    return ceilTo(this.end, PAGE_BYTES);
  }
}

/** Properties of a memory beside its size. */
export interface MemoryKind {
  shared: boolean;
  memory64: boolean; // addresses of 64 bits
}

/** A memory of exactly `bytes`, which never grows. Throws OUT_OF_MEMORY. */
export function createMemory(bytes: number, { shared, memory64 }: MemoryKind): WebAssembly.Memory {
  const pages = bytes / PAGE_BYTES;
  const limits = memory64
    ? { address: 'i64', initial: BigInt(pages), maximum: BigInt(pages), shared }
    : { initial: pages, maximum: pages, shared };
  try {
    return new WebAssembly.Memory(limits as WebAssembly.MemoryDescriptor);
  } catch (cause) {
    throw new EdgeError(
      'OUT_OF_MEMORY',
      `A WebAssembly memory of ${bytes} bytes could not be allocated: quantize further or lower maxSessions`,
      { cause },
    );
  }
}

export function ceilTo(n: number, unit: number): number {
  return Math.ceil(n / unit) * unit;
}
