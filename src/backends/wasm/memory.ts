import { EdgeError } from '../../errors.ts';

/** Bytes of the one linear memory, from `offset` on. */
export interface Region {
  name: string;
  offset: number;
  bytes: number;
}

/** What the linker gives the module itself: its own stack and data (`__heap_base` must not lie above). */
export const MODULE_BYTES = 128 * 1024;
export const PAGE_BYTES = 65536;
const MAX_PAGES = 65536; // 4 GiB
const ALIGNMENT = 64; // a cache line

/**
 * Hands out the linear memory before it exists. With `gap`, regions lie that many bytes apart, so that a sanitizer
 * notices what leaves them.
 */
export class Arena {
  readonly regions: Region[] = [];
  private end = MODULE_BYTES;

  constructor(private readonly gap = 0) {}

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

/** A memory of exactly `bytes`, which never grows. Throws OUT_OF_MEMORY. */
export function createMemory(bytes: number, shared: boolean): WebAssembly.Memory {
  const pages = bytes / PAGE_BYTES;
  if (pages > MAX_PAGES)
    throw new EdgeError(
      'OUT_OF_MEMORY',
      `The model needs ${bytes} bytes; a WebAssembly memory holds ${MAX_PAGES * PAGE_BYTES}: quantize further, lower maxSessions, or use a GPU backend`,
    );
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
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
