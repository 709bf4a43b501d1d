import { f16ToNumber } from '../../src/backends/reference/dequantize.ts';
import type { Executor } from '../../src/backends/types.ts';
import type { Program } from '../../src/ops/program.ts';
import type { GroupSize, Tensor, WeightFormat } from '../../src/types.ts';
import { numberToF16 } from './f16.ts';
import type { Random } from './random.ts';

type FloatFormat = Extract<WeightFormat, { kind: 'float' }>;
export type QuantFormat = Extract<WeightFormat, { kind: 'quant' }>;

export const F32: FloatFormat = { kind: 'float', dtype: 'f32' };
export const F16: FloatFormat = { kind: 'float', dtype: 'f16' };

export function quant(
  bits: 4 | 8,
  group: GroupSize,
  hasBias = false,
  scaleDtype: 'f16' | 'f32' = 'f16',
): QuantFormat {
  return { kind: 'quant', bits, group, scaleDtype, hasBias };
}

/** Every format that a linear weight can have. */
export const ALL_FORMATS: readonly WeightFormat[] = [
  F32,
  F16,
  ...([4, 8] as const).flatMap((bits) =>
    ([16, 32, 64, 128] as const).flatMap((group) =>
      [false, true].flatMap((hasBias) =>
        (['f16', 'f32'] as const).map((scaleDtype) => quant(bits, group, hasBias, scaleDtype)),
      ),
    ),
  ),
];

/** Linear weights in a format, vectors in f32. */
export function formatsOf({ weights }: Program, linear: WeightFormat): Record<string, WeightFormat> {
  return Object.fromEntries(
    Object.entries(weights).map(([name, { role }]) => [name, role === 'linear' ? linear : F32]),
  );
}

/** 'f16', 'q4/32', 'q8/64 with bias, f32 scales'. */
export function formatName(format: WeightFormat): string {
  if (format.kind === 'float') return format.dtype;
  const bias = format.hasBias ? ' with bias' : '';
  return `q${format.bits}/${format.group}${bias}${format.scaleDtype === 'f32' ? ', f32 scales' : ''}`;
}

/** A float tensor of given values; the last axis is `cols`. */
export function floatTensor(values: Float32Array, cols: number, format: FloatFormat = F32): Tensor {
  const data = format.dtype === 'f32' ? values : Uint16Array.from(values, numberToF16);
  return { format, rows: values.length / cols, cols, data };
}

/** Random weights of about unit gain: variance 1/cols, zero mean. */
export function randomTensor(random: Random, rows: number, cols: number, format: WeightFormat): Tensor {
  const gain = 1 / Math.sqrt(cols);
  if (format.kind === 'float')
    return floatTensor(
      random.floats(rows * cols, () => random.normal(gain)),
      cols,
      format,
    );
  const groups = rows * Math.ceil(cols / format.group);
  const step = (gain * Math.sqrt(12)) / 2 ** format.bits; // of uniformly distributed codes
  const scale = random.floats(groups, () => step * random.uniform(0.75, 1.25));
  const bias = scale.map((s) => -s * (2 ** (format.bits - 1) + random.uniform(-1, 1)));
  const store = (x: Float32Array) => (format.scaleDtype === 'f32' ? x : Uint16Array.from(x, numberToF16));
  return {
    format,
    rows,
    cols,
    q: randomCodes(random, rows, cols, format.bits),
    scale: store(scale),
    bias: format.hasBias ? store(bias) : null,
  };
}

function randomCodes(random: Random, rows: number, cols: number, bits: 4 | 8): Uint8Array {
  const rowBytes = Math.ceil((cols * bits) / 8);
  const q = new Uint8Array(rows * rowBytes);
  for (let i = 0; i < q.length; i++) q[i] = random.u32() >>> 24;
  if (bits === 4 && cols % 2 === 1)
    for (let r = 1; r <= rows; r++) q[r * rowBytes - 1] = q[r * rowBytes - 1]! & 15; // no upper neighbour
  return q;
}

/** Rows [begin, begin + count) of a tensor. */
export function tensorRows(tensor: Tensor, begin: number, count: number): Tensor {
  const part = <T extends Float32Array | Uint16Array | Uint8Array>(data: T): T => {
    const width = data.length / tensor.rows;
    return data.slice(begin * width, (begin + count) * width) as T;
  };
  if (!('q' in tensor)) return { ...tensor, rows: count, data: part(tensor.data) };
  const { q, scale, bias } = tensor;
  return { ...tensor, rows: count, q: part(q), scale: part(scale), bias: bias && part(bias) };
}

/** Uploads a whole weight in blocks of `blockRows`, the last block first: their order must not matter. */
export function uploadBlocks(executor: Executor, name: string, tensor: Tensor, blockRows = 128): void {
  const last = Math.floor((tensor.rows - 1) / blockRows) * blockRows;
  for (let row = last; row >= 0; row -= blockRows)
    executor.sink(name).put(row, tensorRows(tensor, row, Math.min(blockRows, tensor.rows - row)));
}

/** A float matrix in any format; quantized with the range of each group, for tests that need some quantized model. */
export function encodeTensor(values: Float32Array, cols: number, format: WeightFormat): Tensor {
  if (format.kind === 'float') return floatTensor(values, cols, format);
  const rows = values.length / cols;
  const perRow = Math.ceil(cols / format.group);
  const scale = new Float32Array(rows * perRow); // [rows, groups]
  const bias = new Float32Array(rows * perRow); // [rows, groups]
  const middle = 2 ** (format.bits - 1);
  const half = (x: number) => (format.scaleDtype === 'f16' ? f16ToNumber(numberToF16(x)) : Math.fround(x));
  for (let g = 0; g < scale.length; g++) {
    const begin = Math.floor(g / perRow) * cols + (g % perRow) * format.group;
    const end = Math.min(begin + format.group, (Math.floor(g / perRow) + 1) * cols);
    const group = values.subarray(begin, end);
    const low = group.reduce((a, b) => Math.min(a, b));
    const high = group.reduce((a, b) => Math.max(a, b));
    scale[g] =
      half(format.hasBias ? (high - low) / (2 * middle - 1) : Math.max(-low, high) / (middle - 1)) ||
      half(1e-4);
    bias[g] = format.hasBias ? half(low) : -middle * scale[g]!;
  }
  const rowBytes = Math.ceil((cols * format.bits) / 8);
  const q = new Uint8Array(rows * rowBytes);
  values.forEach((value, i) => {
    const [r, c] = [Math.floor(i / cols), i % cols];
    const g = r * perRow + Math.floor(c / format.group);
    const code = Math.min(Math.max(Math.round((value - bias[g]!) / scale[g]!), 0), 2 * middle - 1);
    const byte = r * rowBytes + (format.bits === 8 ? c : c >> 1);
    q[byte] = q[byte]! | (format.bits === 4 && c & 1 ? code << 4 : code);
  });
  const store = (x: Float32Array) => (format.scaleDtype === 'f32' ? x : Uint16Array.from(x, numberToF16));
  return { format, rows, cols, q, scale: store(scale), bias: format.hasBias ? store(bias) : null };
}
