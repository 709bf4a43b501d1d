import { throwIfAborted } from '../errors.ts';
import type { WeightSpec } from '../ops/program.ts';
import type { Tensor, WeightFormat, WeightPlace, WeightSink } from '../types.ts';
import { toF32 } from './dequantize.ts';
import { sameFormat } from './format.ts';
import { f16ToF32, f32ToF16 } from './half.ts';
import { negExp } from './math.ts';
import { storedTensor } from './plan.ts';
import { type Quantizer, roundToNearest } from './quantize.ts';
import { elementCount } from './shape.ts';
import type { Checkpoint, RowMultiplier, StoredTensor, WeightSource } from './types.ts';

const YIELD = 16 * 2 ** 20; // bytes between two looks at the event loop

type ByName<T> = Readonly<Record<string, T>>;

export interface UploadOptions {
  /** Blocks hold a multiple of this many rows, the last of a weight aside: UPLOAD_ROWS of the backends. */
  blockRows: number;
  /** Bytes read at once, as long as they hold `blockRows` rows; 2 MiB. */
  blockBytes?: number;
  quantizer?: Quantizer; // roundToNearest
  signal?: AbortSignal | undefined;
  /** Bytes of the checkpoint that have been converted and handed over, of all that will be. */
  onProgress?: ((loaded: number, total: number) => void) | undefined;
}

/** Rows of one weight to read and hand over. */
interface Block {
  stored: StoredTensor;
  source: WeightSource;
  format: WeightFormat; // of the rows handed over
  sink: WeightSink;
  row: number;
  rows: number;
  /** [rows, cols] of the tensor handed over: the weight's own, which differ from the file's in dimensions of 1. */
  shape: { rows: number; cols: number };
}

/**
 * Streams every weight into its sink by blocks of rows, in the formats planned. One block is read while the one
 * before is converted, so memory holds two blocks and their conversions, however large the checkpoint is. Rows that stay
 * as they are stored are read into the device's memory where their sink has a place there.
 * @throws INVALID_FILE, NETWORK, ABORTED, and what sinks throw
 */
export async function uploadWeights(
  checkpoint: Checkpoint,
  sources: ByName<WeightSource>,
  weights: ByName<WeightSpec>,
  formats: ByName<WeightFormat>,
  sinkOf: (name: string) => WeightSink,
  { blockRows, blockBytes = 2 * 2 ** 20, quantizer = roundToNearest, signal, onProgress }: UploadOptions,
): Promise<void> {
  const blocks = Object.entries(weights).flatMap(([name, spec]) => {
    const stored = storedTensor(checkpoint, sources, name, spec);
    const weight = { stored, source: sources[name]!, format: formats[name]!, sink: sinkOf(name) };
    return [...cutRows(stored, spec, blockRows, blockBytes)].map((rows): Block => ({ ...weight, ...rows }));
  });
  const share = ({ stored, rows }: Block) => (stored.rows === 0 ? 0 : (stored.bytes / stored.rows) * rows);
  const total = blocks.reduce((sum, block) => sum + share(block), 0);
  // Values on their way to the quantizer: reused, since garbage of this size would pile up.
  const scratch = new Float32Array(Math.ceil(blockBytes / 2));
  let loaded = 0;
  let unyielded = 0;
  let next = startRead(blocks[0], signal);
  for (const [index, block] of blocks.entries()) {
    const { reading, target } = next!;
    const tensor = await reading;
    throwIfAborted(signal);
    next = startRead(blocks[index + 1], signal);
    target.put(block.row, finished(tensor, block, quantizer, scratch));
    loaded += share(block);
    unyielded += share(block);
    onProgress?.(Math.round(loaded), Math.round(total));
    if (unyielded >= YIELD) {
      unyielded = 0;
      await macrotask(); // reads from memory never leave the microtask queue: let timers and aborts run
    }
  }
}

/** A block on its way from the file, and who takes its rows: the place that they are read into, or else the sink. */
function startRead(
  block: Block | undefined,
  signal: AbortSignal | undefined,
): { reading: Promise<Tensor>; target: WeightSink | WeightPlace } | null {
  if (!block) return null;
  const { stored, sink, row, rows } = block;
  const bytes = (staysAsStored(block) && stored.placeBytes?.(rows)) || 0;
  const place = bytes > 0 ? sink.place?.(bytes) : null;
  const reading = stored.read(row, rows, signal, place?.bytes);
  reading.catch(() => {}); // it is awaited later, if nothing fails before
  return { reading, target: place ?? sink };
}

/** Are the rows handed over as `read` answers them? */
function staysAsStored({ stored, source, format, rows, shape }: Block): boolean {
  const reshaped = shape.rows !== rows || shape.cols !== stored.cols;
  const converted = !stored.format || !sameFormat(stored.format, format);
  return !reshaped && !converted && !source.transform && !source.multipliers;
}

function* cutRows(
  stored: StoredTensor,
  spec: WeightSpec,
  blockRows: number,
  blockBytes: number,
): Generator<Pick<Block, 'row' | 'rows' | 'shape'>> {
  const cols = spec.shape.at(-1)!;
  const rows = elementCount(spec.shape.slice(0, -1));
  if (rows !== stored.rows || cols !== stored.cols) {
    // A column or a row by another name: read whole.
    yield { row: 0, rows: stored.rows, shape: { rows, cols } };
    return;
  }
  const fit = Math.floor(blockBytes / (blockRows * Math.max(1, stored.bytes / rows)));
  const step = Math.max(1, fit) * blockRows;
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    yield { row, rows: count, shape: { rows: count, cols } };
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

/** Rows as they are handed over: in their format, times their multipliers. Codes get those in their scales, as a file of the same codes does. */
function finished(
  stored: Tensor,
  { source, format, row, shape }: Block,
  quantizer: Quantizer,
  scratch: Float32Array,
): Tensor {
  const same = stored.rows === shape.rows && stored.cols === shape.cols;
  const shaped = same ? stored : reshaped(stored, shape);
  const tensor = source.transform === 'neg_exp' ? transformed(shaped) : shaped;
  const { multipliers } = source;
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

function macrotask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
