import { EdgeError } from '../../errors.ts';
import type { FloatTensor, Numerics, QuantTensor, Tensor, WeightFormat } from '../../types.ts';
import { fullFormatName, sameFormat } from '../../weights/format.ts';
import { holdsNonFinite } from '../../weights/non_finite.ts';
import { ceilTo } from './memory.ts';

// The layout is that of wasm/linear/linear.h.
const TILE = 8; // output rows that lie interleaved
const GRAIN = 8; // columns are padded to a multiple of this, group by group
const BLOCK = 32; // columns whose inputs share a scale
const HEADER_BYTES = 64;
const KINDS = { f32: 0, f16: 1, q4: 2, q8: 3 };
const NUMERICS: readonly Numerics[] = ['exact', 'i16', 'i8'];
const BLOCK_HEAD_BYTES = 16;

/** The factor that turns shifted f16 bits into floats. */
const HALF_FACTOR = 2 ** 112;

/** How a linear weight lies in memory. */
export interface PackedWeight {
  format: WeightFormat;
  numerics: Numerics; // float weights are always exact
  rows: number;
  cols: number;
  group: number; // columns that share a scale; of floats BLOCK
  tileBytes: number; // of TILE rows
  bytes: number;
  /** Bytes of one row of inputs, prepared for this weight. */
  inputBytes: number;
}

/** The layout of a weight [rows, cols]. */
export function packedWeight(
  [rows, cols]: readonly [number, number],
  format: WeightFormat,
  numerics: Numerics,
): PackedWeight {
  const group = format.kind === 'quant' ? format.group : BLOCK;
  const groups = Math.ceil(cols / group);
  const padded = (groups - 1) * group + ceilTo(cols - (groups - 1) * group, GRAIN); // columns
  const tileBytes =
    format.kind === 'float'
      ? TILE * padded * (format.dtype === 'f32' ? 4 : 2)
      : TILE * (groups * numbersBytes(format) + (padded * format.bits) / 8);
  const used = format.kind === 'float' ? 'exact' : numerics;
  const block = Math.min(group, BLOCK);
  const inputBytes = Math.ceil(cols / block) * (BLOCK_HEAD_BYTES + block * (used === 'exact' ? 4 : 2));
  return {
    format,
    numerics: used,
    rows,
    cols,
    group,
    tileBytes,
    bytes: HEADER_BYTES + Math.ceil(rows / TILE) * tileBytes,
    inputBytes: ceilTo(inputBytes, 64),
  };
}

/** Packs quantized rows quicker, where it can. */
export interface TilePacker {
  /** Tiles of `tensor` to `target`; answers as packRows does, null where it can't. */
  pack(target: number, packed: PackedWeight, tensor: QuantTensor): boolean | null;
}

/** Bytes of a row's scale and bias in one group. */
function numbersBytes({ scaleDtype, hasBias }: QuantTensor['format']): number {
  return (scaleDtype === 'f32' ? 4 : 2) * (hasBias ? 2 : 1);
}

/** The words of a C weight_ref. */
export function weightWords(base: number, { format, ...packed }: PackedWeight): number[] {
  const quant = format.kind === 'quant' ? format : null;
  return [
    base,
    packed.rows,
    packed.cols,
    KINDS[quant ? (`q${quant.bits}` as 'q4' | 'q8') : (format as FloatTensor['format']).dtype],
    NUMERICS.indexOf(packed.numerics),
    packed.group,
    Number(quant?.scaleDtype === 'f32'),
    Number(quant?.hasBias ?? false),
    packed.tileBytes,
  ];
}

/**
 * Writes rows [row, row + tensor.rows) of a weight, whose memory was zero at first. `row` is a multiple of TILE.
 * Answers whether a number among them is NaN or infinite. Throws INTERNAL for a tensor of another format or shape.
 */
export function packRows(
  buffer: ArrayBufferLike,
  offset: number,
  packed: PackedWeight,
  row: number,
  tensor: Tensor,
  packer?: TilePacker,
): boolean {
  if (!sameFormat(tensor.format, packed.format))
    throw fault(`a tensor in ${fullFormatName(tensor.format)}, expected ${fullFormatName(packed.format)}`);
  if (row % TILE !== 0 || tensor.cols !== packed.cols || row + tensor.rows > packed.rows)
    throw fault(`rows ${row}+${tensor.rows} × ${tensor.cols} of a weight of ${packed.rows} × ${packed.cols}`);
  const bytes = Math.ceil(tensor.rows / TILE) * packed.tileBytes;
  const at = offset + HEADER_BYTES + (row / TILE) * packed.tileBytes;
  const quick = 'q' in tensor ? (packer?.pack(at, packed, tensor) ?? null) : null;
  if (quick === null) {
    if ('q' in tensor) packQuant(buffer, at, bytes, packed, tensor);
    else packFloats(buffer, at, bytes, tensor);
  }
  // Kernels expand f16 without a thought for infinity and NaN: where there are any, all results become NaN.
  const factor = new Float32Array(buffer, offset, 1);
  if (factor[0] === 0) factor[0] = HALF_FACTOR;
  const nonFinite = quick ?? holdsNonFinite(tensor);
  if (nonFinite) factor[0] = Number.NaN;
  return nonFinite;
}

/** value[columns, padded][8] of each tile. */
function packFloats(
  buffer: ArrayBufferLike,
  at: number,
  bytes: number,
  { data, rows, cols }: FloatTensor,
): void {
  const { length, byteOffset } = data;
  const wide = data instanceof Float32Array;
  const source = wide ? new Uint32Array(data.buffer, byteOffset, length) : data; // bits
  const target = wide ? new Uint32Array(buffer, at, bytes / 4) : new Uint16Array(buffer, at, bytes / 2);
  const padded = ceilTo(cols, GRAIN);
  for (let row = 0; row < rows; row++) {
    const lane = Math.floor(row / TILE) * TILE * padded + (row % TILE);
    for (let c = 0; c < cols; c++) target[lane + c * TILE] = source[row * cols + c]!;
  }
}

/** group[groups] of each tile: scales, biases, codes. */
function packQuant(
  buffer: ArrayBufferLike,
  at: number,
  bytes: number,
  { group, tileBytes }: PackedWeight,
  { format, rows, cols, q, scale, bias }: QuantTensor,
): void {
  const groups = Math.ceil(cols / group);
  const words = new Uint32Array(buffer, at, bytes / 4);
  const wide = format.scaleDtype === 'f32';
  const numbers = wide ? new Float32Array(buffer, at, bytes / 4) : new Uint16Array(buffer, at, bytes / 2);
  const headWords = (TILE * numbersBytes(format)) / 4;
  const groupWords = (group * format.bits) / 32; // of a row
  const rowWords = Math.ceil((cols * format.bits) / 32);
  const source = wordRows(q, rows, rowWords); // [rows, rowWords]
  for (let row = 0; row < rows; row += TILE) {
    const live = Math.min(TILE, rows - row);
    for (let g = 0; g < groups; g++) {
      const to = ((row / TILE) * tileBytes) / 4 + g * (headWords + groupWords * TILE);
      const number = wide ? to : 2 * to;
      for (let r = 0; r < live; r++) {
        numbers[number + r] = scale[(row + r) * groups + g]!;
        if (bias) numbers[number + TILE + r] = bias[(row + r) * groups + g]!;
      }
      const count = Math.min(groupWords, rowWords - g * groupWords);
      for (let i = 0; i < count; i++)
        for (let r = 0; r < live; r++)
          words[to + headWords + i * TILE + r] = source[(row + r) * rowWords + g * groupWords + i]!;
    }
  }
}

/** Rows of bytes as rows of whole words, padded by zeros. */
function wordRows(q: Uint8Array, rows: number, rowWords: number): Uint32Array {
  const rowBytes = q.length / rows;
  if (rowBytes === 4 * rowWords && q.byteOffset % 4 === 0)
    return new Uint32Array(q.buffer, q.byteOffset, rows * rowWords);
  const bytes = new Uint8Array(rows * rowWords * 4);
  for (let row = 0; row < rows; row++)
    bytes.set(q.subarray(row * rowBytes, (row + 1) * rowBytes), row * rowWords * 4);
  return new Uint32Array(bytes.buffer);
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WASM weights: ${message}`);
}
