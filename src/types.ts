/** Types shared by every part; those of src/api/types/ are public. Nothing here runs. */

import type { BackendName, WeightFormat } from './api/types/device.ts';

export type * from './api/types/device.ts';

/** The public backends, and the float64 reference of the tests. */
export type BackendId = BackendName | 'reference';

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

/** Rows of a float weight. `data` holds f32 values, or the bit patterns of f16 ones. */
export interface FloatTensor {
  format: Extract<WeightFormat, { kind: 'float' }>;
  rows: number;
  cols: number;
  data: Float32Array | Uint16Array; // [rows, cols]
}

/**
 * Rows of a quantized weight: `w = scale · q + bias`, q unsigned; without bias, `bias = −2^(bits−1) · scale`.
 * 4-bit codes are packed two a byte, the lower index in the low nibble; each row starts on a byte.
 * A short last group is allowed: `groups = ceil(cols / group)`.
 */
export interface QuantTensor {
  format: Extract<WeightFormat, { kind: 'quant' }>;
  rows: number;
  cols: number;
  q: Uint8Array; // [rows, ceil(cols · bits / 8)]
  scale: Float32Array | Uint16Array; // [rows, groups], f32 values or f16 bits, as format.scaleDtype says
  bias: Float32Array | Uint16Array | null; // [rows, groups], same dtype as scale
  /** The same as ggml's blocks of Q4_0, Q4_1 or Q8_0, where the file holds them; then the arrays are made when asked for. */
  readonly blocks?: Uint8Array; // [rows, cols / 32] of scale, bias, codes
}

export type Tensor = FloatTensor | QuantTensor;

/** Takes the rows of one weight to a device, block by block, in any order. */
export interface WeightSink {
  /** Rows [row, row + tensor.rows). What the tensor's arrays hold may change afterwards. */
  put(row: number, tensor: Tensor): void;
  /** At least `bytes` of the device's memory to read rows into, as the file holds them; null where none are free. */
  place?(bytes: number): WeightPlace | null;
}

/** A place in a device's memory for one block of rows. */
export interface WeightPlace {
  readonly bytes: Uint8Array;
  /** Rows whose arrays all lie in `bytes`; gives the place back. */
  put(row: number, tensor: Tensor): void;
}
