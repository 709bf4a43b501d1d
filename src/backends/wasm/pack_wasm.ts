import { EdgeError } from '../../errors.ts';
import type { QuantTensor } from '../../types.ts';
import type { Layout } from './layout.ts';
import { addressOf } from './memory.ts';
import type { Kernels } from './module.ts';
import type { PackedWeight, TilePacker } from './pack_js.ts';
import { structs, writeFields } from './structs.ts';
import type { ThreadPool } from './thread_pool.ts';

const TILE = 8; // rows
const ARGUMENTS = structs.pack_args;
const ARGUMENT_BYTES = Math.ceil((4 * ARGUMENTS.WORDS) / 16) * 16;
const LOST = 2; // what it returns once a thread did not come back
const SHARED = 64 * 1024; // bytes of tiles that are worth waking a pool for
const BOUNCE = 256 * 1024; // bytes of rows copied at once: they stay in the cache
const PLACE = 2.5 * 2 ** 20; // bytes: a block of upload.ts with its scales
const LEAST = 64 * 1024; // less room is not worth it

/** Where the parts of rows lie. Addresses are bytes, below 4 GiB like the logits; strides are bytes from row to row and from group to group. */
interface Source {
  format: QuantTensor['format'];
  ggml: boolean;
  codes: number;
  codesRow: number;
  codesGroup: number;
  scale: number;
  bias: number;
  numberRow: number;
  numberGroup: number;
}

/**
 * Packs quantized rows inside the module, in one pass, shared by the threads of the pool: each byte is one thread's
 * alone, so that any number of them writes the same. While a model loads nobody needs the room for logits: it holds the
 * arguments, a piece of the rows that are copied there to be packed, and two places to read rows into.
 */
export class Packer implements TilePacker {
  private readonly base: number;
  private readonly bounce: number; // bytes
  private readonly places: Uint8Array[] = []; // those that are free

  constructor(
    private readonly buffer: ArrayBufferLike,
    private readonly layout: Layout,
    private readonly kernels: Kernels,
    private readonly pool: Pick<ThreadPool, 'size'> | null = null,
  ) {
    this.base = layout.logits;
    const bytes = 4 * layout.maxOutputs * layout.logitsStride;
    const floor16 = (n: number) => Math.floor(n / 16) * 16;
    this.bounce = floor16(Math.min(BOUNCE, (bytes - ARGUMENT_BYTES) / 3));
    const begin = this.base + ARGUMENT_BYTES + this.bounce;
    const each = floor16(Math.min(PLACE, (this.base + bytes - begin) / 2));
    if (this.bounce < LEAST) this.bounce = 0;
    else this.places.push(new Uint8Array(buffer, begin, each), new Uint8Array(buffer, begin + each, each));
  }

  /** A place of at least `bytes` for a block of rows, free again once they are packed; null where there is none. */
  takePlace(bytes: number): (TilePacker & { bytes: Uint8Array }) | null {
    const place = this.places.at(-1);
    if (!place || place.length < bytes) return null;
    this.places.pop();
    return {
      bytes: place,
      pack: (target, packed, tensor) => {
        this.places.push(place);
        return this.packPlaced(target, packed, tensor);
      },
    };
  }

  /** Rows that lie anywhere: they are copied piece by piece. */
  pack(target: number, packed: PackedWeight, tensor: QuantTensor): boolean | null {
    const { rows, cols } = tensor;
    const parts = partsOf(tensor);
    const strides = parts.map((part) => part.byteLength / rows);
    const rowBytes = strides.reduce((a, b) => a + b, 0);
    const step = Math.floor((this.bounce - 16 * parts.length) / (TILE * rowBytes)) * TILE;
    if (cols % packed.group !== 0 || rows === 0 || step <= 0) return null;
    let nonFinite = false;
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row);
      const at = this.copyRows(parts, strides, row, count);
      const to = target + (row / TILE) * packed.tileBytes;
      if (this.run(to, packed, count, sourceOf(tensor, at, strides))) nonFinite = true;
    }
    return nonFinite;
  }

  private packPlaced(target: number, packed: PackedWeight, tensor: QuantTensor): boolean | null {
    const { rows, cols } = tensor;
    if (cols % packed.group !== 0 || rows === 0) return null;
    const parts = partsOf(tensor);
    const at = parts.map(({ byteOffset }) => byteOffset);
    const strides = parts.map(({ byteLength }) => byteLength / rows);
    return this.run(target, packed, rows, sourceOf(tensor, at, strides));
  }

  /** Answers whether a scale or bias is NaN or infinite. */
  private run(target: number, packed: PackedWeight, rows: number, source: Source): boolean {
    this.writeArguments(target, packed, rows, source);
    const answer = this.kernels.pack(addressOf(this.base));
    if (answer === LOST)
      throw new EdgeError(
        'WORKER_DIED',
        'A thread of the WASM backend stopped while weights were packed: load the model again',
      );
    return answer !== 0;
  }

  private copyRows(
    parts: readonly (Uint8Array | Uint16Array | Float32Array)[],
    strides: readonly number[],
    row: number,
    count: number,
  ): number[] {
    let at = this.base + ARGUMENT_BYTES;
    return parts.map((part, i) => {
      const begin = at;
      const length = count * strides[i]!;
      const bytes = new Uint8Array(part.buffer, part.byteOffset + row * strides[i]!, length);
      new Uint8Array(this.buffer, begin, length).set(bytes);
      at += Math.ceil(length / 16) * 16;
      return begin;
    });
  }

  private writeArguments(
    target: number,
    { tileBytes, cols, group }: PackedWeight,
    rows: number,
    source: Source,
  ): void {
    const { bits, scaleDtype, hasBias } = source.format;
    writeFields(new Uint32Array(this.buffer, this.base, ARGUMENTS.WORDS), ARGUMENTS, {
      target: addressOf(target),
      tile_bytes: tileBytes,
      rows,
      groups: cols / group,
      group_words: (group * bits) / 32,
      number_bytes: scaleDtype === 'f32' ? 4 : 2,
      has_bias: Number(hasBias),
      ggml: Number(source.ggml),
      bits,
      codes: source.codes,
      codes_row: source.codesRow,
      codes_group: source.codesGroup,
      scale: source.scale,
      bias: source.bias,
      number_row: source.numberRow,
      number_group: source.numberGroup,
      pool: addressOf(this.layout.pool),
      threads: (rows / TILE) * tileBytes < SHARED ? 1 : (this.pool?.size ?? 1),
      odd: 0,
    });
  }
}

/** The arrays of rows, each [rows, …]. */
function partsOf(tensor: QuantTensor): (Uint8Array | Uint16Array | Float32Array)[] {
  if (tensor.blocks) return [tensor.blocks]; // the arrays are made when they are asked for
  const { q, scale, bias } = tensor;
  return bias ? [q, scale, bias] : [q, scale];
}

/** Rows whose arrays lie at `at`. */
function sourceOf(
  { blocks, format }: QuantTensor,
  at: readonly number[],
  strides: readonly number[],
): Source {
  const { bits, group, scaleDtype, hasBias } = format;
  if (!blocks)
    return {
      format,
      ggml: false,
      codes: at[0]!,
      codesRow: strides[0]!,
      codesGroup: (group * bits) / 8,
      scale: at[1]!,
      bias: at[2] ?? 0,
      numberRow: strides[1]!,
      numberGroup: scaleDtype === 'f32' ? 4 : 2,
    };
  // Blocks of 32 columns: scale, bias if there is one, codes.
  const head = hasBias ? 4 : 2;
  return {
    format,
    ggml: true,
    codes: at[0]! + head,
    codesRow: strides[0]!,
    codesGroup: head + 4 * bits,
    scale: at[0]!,
    bias: at[0]! + 2,
    numberRow: strides[0]!,
    numberGroup: head + 4 * bits,
  };
}
