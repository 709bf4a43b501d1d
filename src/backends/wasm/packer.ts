import { EdgeError } from '../../errors.ts';
import type { QuantTensor } from '../../types.ts';
import type { Layout } from './layout.ts';
import { addressOf } from './memory.ts';
import type { Kernels } from './module.ts';
import type { PackedWeight, TilePacker } from './pack.ts';
import type { Team } from './threads.ts';

const TILE = 8; // rows
const ARGUMENT_BYTES = 80; // pack_args of wasm/pack.c
const LOST = 2; // what it returns once a thread did not come back
const SHARED = 64 * 1024; // bytes of tiles that are worth waking a team for
const BOUNCE = 256 * 1024; // bytes of rows copied at once: they stay in the cache
const BUFFER = 2.5 * 2 ** 20; // bytes of a place to read into: a block of upload.ts with its scales
const LEAST = 64 * 1024; // less room is not worth it

/** Where the parts of rows lie. Addresses are bytes, below 4 GiB like the logits; strides are bytes from row to row and from group to group. */
interface Source {
  ggml: boolean;
  codes: number;
  codesRow: number;
  codesGroup: number;
  scale: number;
  offset: number;
  numberRow: number;
  numberGroup: number;
}

/**
 * Packs quantized rows inside the module, in one pass, shared by the threads of the team: each byte is one thread's
 * alone, so that any number of them writes the same. While a model loads nobody needs the room for logits: rows are
 * read there, or copied there piece by piece. It holds the arguments, a piece, and two places to read into.
 */
export class Packer implements TilePacker {
  readonly staging: readonly [Uint8Array, Uint8Array] | undefined;
  private readonly base: number;
  private readonly bounce: number; // bytes

  constructor(
    private readonly buffer: ArrayBufferLike,
    private readonly layout: Layout,
    private readonly kernels: Kernels,
    private readonly team: Pick<Team, 'size'> | null = null,
  ) {
    this.base = layout.logits;
    const bytes = 4 * layout.maxOutputs * layout.logitsStride;
    const floor16 = (n: number) => Math.floor(n / 16) * 16;
    this.bounce = floor16(Math.min(BOUNCE, (bytes - ARGUMENT_BYTES) / 3));
    const begin = this.base + ARGUMENT_BYTES + this.bounce;
    const each = floor16(Math.min(BUFFER, (this.base + bytes - begin) / 2));
    if (this.bounce < LEAST) this.bounce = 0;
    else this.staging = [new Uint8Array(buffer, begin, each), new Uint8Array(buffer, begin + each, each)];
  }

  pack(target: number, packed: PackedWeight, tensor: QuantTensor): boolean | null {
    const { rows, cols, format, blocks } = tensor;
    if (this.bounce === 0 || cols % packed.group !== 0 || rows === 0) return null;
    const parts = blocks
      ? [blocks]
      : tensor.bias
        ? [tensor.q, tensor.scale, tensor.bias]
        : [tensor.q, tensor.scale];
    const strides = parts.map((part) => part.byteLength / rows);
    const here = parts.every((part) => part.buffer === this.buffer);
    const rowBytes = strides.reduce((a, b) => a + b, 0);
    const fit = Math.floor((this.bounce - 16 * parts.length) / (TILE * rowBytes)) * TILE;
    if (!here && fit === 0) return null;
    const step = here ? rows : fit;
    let damaged = false;
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row);
      const at = here ? parts.map((part) => part.byteOffset) : this.copyRows(parts, strides, row, count);
      const source = blocks
        ? blockSource(at[0]!, format, cols)
        : canonicalSource(at, strides, format, packed.group);
      this.writeArguments(target + (row / TILE) * packed.tileBytes, packed, count, source, format);
      const answer = this.kernels.pack(addressOf(this.base));
      if (answer === LOST)
        throw new EdgeError(
          'WORKER_DIED',
          'A thread of the WASM backend stopped while weights were packed: load the model again',
        );
      if (answer !== 0) damaged = true;
    }
    return damaged;
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
    { bits, scaleDtype, hasBias }: QuantTensor['format'],
  ): void {
    const words = [
      addressOf(target),
      tileBytes,
      rows,
      cols / group,
      (group * bits) / 32,
      scaleDtype === 'f32' ? 4 : 2,
      Number(hasBias),
      Number(source.ggml),
      bits,
      source.codes,
      source.codesRow,
      source.codesGroup,
      source.scale,
      source.offset,
      source.numberRow,
      source.numberGroup,
      addressOf(this.layout.team),
      (rows / TILE) * tileBytes < SHARED ? 1 : (this.team?.size ?? 1),
      0, // odd
    ];
    new Uint32Array(this.buffer, this.base, words.length).set(words);
  }
}

/** Blocks of 32 columns: scale, offset if there is one, codes. */
function blockSource(at: number, { bits, hasBias }: QuantTensor['format'], cols: number): Source {
  const head = hasBias ? 4 : 2;
  const block = head + 4 * bits;
  const row = (cols / 32) * block;
  return {
    ggml: true,
    codes: at + head,
    codesRow: row,
    codesGroup: block,
    scale: at,
    offset: at + 2,
    numberRow: row,
    numberGroup: block,
  };
}

function canonicalSource(
  at: readonly number[],
  strides: readonly number[],
  { bits, scaleDtype }: QuantTensor['format'],
  group: number,
): Source {
  return {
    ggml: false,
    codes: at[0]!,
    codesRow: strides[0]!,
    codesGroup: (group * bits) / 8,
    scale: at[1]!,
    offset: at[2] ?? 0,
    numberRow: strides[1]!,
    numberGroup: scaleDtype === 'f32' ? 4 : 2,
  };
}
