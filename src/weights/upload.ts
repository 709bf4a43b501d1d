import { throwIfAborted } from '../errors.ts';
import type { WeightSpec } from '../ops/program.ts';
import type { Tensor, WeightFormat } from '../types.ts';
import { toF32 } from './dequantize.ts';
import { f16ToF32, f32ToF16 } from './half.ts';
import { negExp } from './math.ts';
import { storedTensor } from './plan.ts';
import { type Quantizer, roundToNearest } from './quantize.ts';
import type { Checkpoint, RowMultiplier, StoredTensor, WeightSource } from './types.ts';

const YIELD = 16 * 2 ** 20; // bytes between two looks at the event loop

type ByName<T> = Readonly<Record<string, T>>;

export interface UploadOptions {
  /** Blocks hold a multiple of this many rows, the last of a weight aside: UPLOAD_ROWS of the backends. */
  blockRows: number;
  /** Bytes read at once, as long as they hold `blockRows` rows; 2 MiB. */
  blockBytes?: number;
  quantizer?: Quantizer; // roundToNearest
  /** Two places of the device's memory to read into; a third block is read when the first was handed over. */
  staging?: readonly [Uint8Array, Uint8Array] | undefined;
  signal?: AbortSignal | undefined;
  /** Bytes of the checkpoint that have been converted and handed over, of all that will be. */
  onProgress?: ((loaded: number, total: number) => void) | undefined;
}

/** Rows of one weight to read and hand over. */
interface Block {
  weight: string;
  stored: StoredTensor;
  row: number;
  rows: number;
  /** [rows, cols] of the tensor handed over: the weight's own, which differ from the file's in dimensions of 1. */
  shape: { rows: number; cols: number };
}

/**
 * Streams every weight through `upload` by blocks of rows, in the formats planned. One block is read while the one
 * before is converted, so memory holds two blocks and their conversions, however large the checkpoint is.
 * @throws INVALID_FILE, NETWORK, ABORTED, and what `upload` throws
 */
export async function uploadWeights(
  checkpoint: Checkpoint,
  sources: ByName<WeightSource>,
  weights: ByName<WeightSpec>,
  formats: ByName<WeightFormat>,
  upload: (name: string, row: number, tensor: Tensor) => void,
  {
    blockRows,
    blockBytes = 2 * 2 ** 20,
    quantizer = roundToNearest,
    staging,
    signal,
    onProgress,
  }: UploadOptions,
): Promise<void> {
  const blocks = [...cutBlocks(checkpoint, sources, weights, blockRows, blockBytes)];
  const share = ({ stored, rows }: Block) => (stored.rows === 0 ? 0 : (stored.bytes / stored.rows) * rows);
  const total = blocks.reduce((sum, block) => sum + share(block), 0);
  const read = (index: number) => {
    const block = blocks[index];
    const pending = block?.stored.read(block.row, block.rows, signal, staging?.[index % 2]);
    pending?.catch(() => {}); // it is awaited below, if nothing fails before
    return pending;
  };
  // Values on their way to the quantizer: reused, since garbage of this size would pile up.
  const scratch = new Float32Array(Math.ceil(blockBytes / 2));
  let loaded = 0;
  let unyielded = 0;
  let next = read(0);
  for (const [index, block] of blocks.entries()) {
    const tensor = (await next)!;
    throwIfAborted(signal);
    next = read(index + 1);
    const { weight, shape, row } = block;
    const same = tensor.rows === shape.rows && tensor.cols === shape.cols;
    const shaped = same ? tensor : reshaped(tensor, shape);
    const { transform, multipliers } = sources[weight]!;
    const turned = transform === 'neg_exp' ? transformed(shaped) : shaped;
    upload(weight, row, finished(turned, row, multipliers, formats[weight]!, quantizer, scratch));
    loaded += share(block);
    unyielded += share(block);
    onProgress?.(Math.round(loaded), Math.round(total));
    if (unyielded >= YIELD) {
      unyielded = 0;
      await macrotask(); // reads from memory never leave the microtask queue: let timers and aborts run
    }
  }
}

function* cutBlocks(
  checkpoint: Checkpoint,
  sources: ByName<WeightSource>,
  weights: ByName<WeightSpec>,
  blockRows: number,
  blockBytes: number,
): Generator<Block> {
  for (const [weight, spec] of Object.entries(weights)) {
    const stored = storedTensor(checkpoint, sources, weight, spec);
    const cols = spec.shape.at(-1)!;
    const rows = spec.shape.slice(0, -1).reduce((a, b) => a * b, 1);
    if (rows !== stored.rows || cols !== stored.cols) {
      // A column or a row by another name: read whole.
      yield { weight, stored, row: 0, rows: stored.rows, shape: { rows, cols } };
      continue;
    }
    const fit = Math.floor(blockBytes / (blockRows * Math.max(1, stored.bytes / rows)));
    const step = Math.max(1, fit) * blockRows;
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row);
      yield { weight, stored, row, rows: count, shape: { rows: count, cols } };
    }
  }
}

/** Rows in another format: floats, codes of floats, or codes of what other codes stand for. */
export function convert(
  tensor: Tensor,
  format: WeightFormat,
  quantizer: Quantizer,
  scratch?: Float32Array,
): Tensor {
  if (sameFormat(tensor.format, format)) return tensor;
  const { rows, cols } = tensor;
  if (format.kind === 'quant') {
    return quantizer(toF32(tensor, scratch), rows, cols, format);
  }
  const values = toF32(tensor);
  return { format, rows, cols, data: format.dtype === 'f32' ? values : f32ToF16(values) };
}

function reshaped(tensor: Tensor, shape: { rows: number; cols: number }): Tensor {
  if (!('q' in tensor)) return { ...tensor, ...shape };
  const { format, q, scale, bias } = tensor;
  return { format, q, scale, bias, ...shape };
}

function transformed(tensor: Tensor): Tensor {
  const values = 'q' in tensor ? toF32(tensor) : Float32Array.from(toF32(tensor));
  return {
    format: { kind: 'float', dtype: 'f32' },
    rows: tensor.rows,
    cols: tensor.cols,
    data: negExp(values),
  };
}

/** Rows in their format, times their multipliers: codes get them in their scales, as a file of the same codes does. */
function finished(
  tensor: Tensor,
  row: number,
  multipliers: readonly RowMultiplier[] | undefined,
  format: WeightFormat,
  quantizer: Quantizer,
  scratch: Float32Array,
): Tensor {
  if (!multipliers) return convert(tensor, format, quantizer, scratch);
  if (format.kind === 'quant')
    return multiplied(convert(tensor, format, quantizer, scratch), row, multipliers);
  return convert(multiplied(tensor, row, multipliers), format, quantizer, scratch);
}

/** Rows [first, first + rows) of a weight times the multipliers of all its rows. */
function multiplied(tensor: Tensor, first: number, multipliers: readonly RowMultiplier[]): Tensor {
  const by = new Float32Array(tensor.rows);
  let row = -first;
  for (const { rows, by: factor } of multipliers) {
    by.fill(factor, Math.max(0, row), Math.max(0, row + rows));
    row += rows;
  }
  const times = (values: Float32Array) => {
    const width = values.length / tensor.rows;
    return values.map((value, i) => value * by[Math.floor(i / width)]!);
  };
  if (!('q' in tensor)) {
    const data = times(toF32(tensor));
    return { format: { kind: 'float', dtype: 'f32' }, rows: tensor.rows, cols: tensor.cols, data };
  }
  const numbers = <T extends Float32Array | Uint16Array>(stored: T) =>
    (stored instanceof Float32Array ? times(stored) : f32ToF16(times(f16ToF32(stored)))) as T;
  const { format, rows, cols, q, scale, bias } = tensor;
  return { format, rows, cols, q, scale: numbers(scale), bias: bias && numbers(bias) };
}

function sameFormat(a: WeightFormat, b: WeightFormat): boolean {
  if (a.kind === 'float') return b.kind === 'float' && a.dtype === b.dtype;
  return (
    b.kind === 'quant' &&
    a.bits === b.bits &&
    a.group === b.group &&
    a.scaleDtype === b.scaleDtype &&
    a.hasBias === b.hasBias
  );
}

function macrotask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
