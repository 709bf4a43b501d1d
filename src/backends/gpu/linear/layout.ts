import { EdgeError } from '../../../errors.ts';
import type { Tensor, WeightFormat } from '../../../types.ts';
import { UPLOAD_ROWS } from '../../types.ts';

/** How rows of a linear weight lie in GPU buffers: every row starts on 16 bytes, so that it is read as vec4<u32>. */
export interface LinearLayout {
  format: WeightFormat;
  cols: number;
  rowWords: number; // u32 of codes or floats in a row, a multiple of 4
  wordCols: number; // columns in a u32: 1, 2, 4 or 8
  groups: number; // of a row; 0 of float weights
  scaleBytes: number; // of a group's scale, and offset if the format has one; 0 of float weights
}

/** Rows in GPU form. */
export interface LinearRows {
  words: Uint32Array<ArrayBuffer>; // [rows, rowWords]
  scales: Uint8Array<ArrayBuffer>; // [rows, groups, scaleBytes]: scale, offset; padded to 4 bytes
}

export function linearLayout(cols: number, format: WeightFormat): LinearLayout {
  const bits = format.kind === 'quant' ? format.bits : format.dtype === 'f32' ? 32 : 16;
  const wordCols = 32 / bits;
  return {
    format,
    cols,
    rowWords: 4 * Math.ceil(cols / wordCols / 4),
    wordCols,
    groups: format.kind === 'quant' ? Math.ceil(cols / format.group) : 0,
    scaleBytes:
      format.kind === 'quant' ? (format.scaleDtype === 'f32' ? 4 : 2) * (format.hasBias ? 2 : 1) : 0,
  };
}

/** Bytes of the two buffers of so many rows. */
export function linearBytes(layout: LinearLayout, rows: number): { words: number; scales: number } {
  return {
    words: 4 * layout.rowWords * rows,
    scales: 4 * Math.ceil((layout.groups * layout.scaleBytes * rows) / 4),
  };
}

/** Row ranges whose buffers each fit a binding of `maxBinding` bytes, in whole upload blocks. Throws OUT_OF_MEMORY. */
export function splitRows(
  layout: LinearLayout,
  rows: number,
  maxBinding: number,
): { first: number; rows: number }[] {
  const bytes = linearBytes(layout, UPLOAD_ROWS);
  const blocks = Math.floor(maxBinding / Math.max(bytes.words, bytes.scales));
  if (blocks < 1)
    throw new EdgeError(
      'OUT_OF_MEMORY',
      `${UPLOAD_ROWS} rows of a weight take ${bytes.words} bytes, but the GPU binds at most ${maxBinding}: use another backend`,
    );
  const most = blocks * UPLOAD_ROWS;
  const parts: { first: number; rows: number }[] = [];
  for (let first = 0; first < rows; first += most) parts.push({ first, rows: Math.min(most, rows - first) });
  return parts;
}

/** A tensor's rows in GPU form. */
export function packLinear(layout: LinearLayout, tensor: Tensor): LinearRows {
  const { rows, cols } = tensor;
  const { rowWords } = layout;
  const source = 'q' in tensor ? tensor.q : tensor.data;
  const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  const rowBytes = bytes.length / rows;
  const words = new Uint32Array(rows * rowWords);
  const target = new Uint8Array(words.buffer);
  for (let r = 0; r < rows; r++)
    target.set(bytes.subarray(r * rowBytes, (r + 1) * rowBytes), r * rowWords * 4);
  if (cols !== layout.cols)
    throw new EdgeError('INTERNAL', `GPU weights: ${cols} columns of a weight of ${layout.cols}`);
  const scales = new Uint8Array(linearBytes(layout, rows).scales);
  if ('q' in tensor) {
    const { scale, bias } = tensor;
    const values =
      scale instanceof Float32Array ? new Float32Array(scales.buffer) : new Uint16Array(scales.buffer);
    if (!bias) values.set(scale);
    else
      for (let i = 0; i < scale.length; i++) {
        values[2 * i] = scale[i]!;
        values[2 * i + 1] = bias[i]!;
      }
  }
  return { words, scales };
}

/** Is every vec4<u32> of a row full, and inside one group? */
export function isAligned({ format, cols, wordCols }: LinearLayout): boolean {
  const unit = 4 * wordCols;
  return cols % unit === 0 && (format.kind === 'float' || format.group % unit === 0);
}
