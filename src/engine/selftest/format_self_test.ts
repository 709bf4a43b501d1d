import type { Backend, Executor, Step } from '../../backends/types.ts';
import type { Program } from '../../ops/program.ts';
import type { Numerics, Tensor, WeightFormat } from '../../types.ts';
import { toF32 } from '../../weights/dequantize.ts';
import { fullFormatName } from '../../weights/format.ts';
import { f32ToF16 } from '../../weights/half.ts';
import { pseudoRandomBits, relativeError, TOLERANCE } from './metrics.ts';

const VOCAB = 80;
const CHUNK = 40;
const STEPS = [1, 3, CHUNK]; // rows: kernels differ in how many they take
const EPS = 1e-5;

/**
 * Multiplies rows by weights of each format on a backend and compares with the same in doubles, computed here: what
 * `runOpSelfTest`, whose formats are fixed, says nothing of.
 */
export async function runFormatSelfTest(
  backend: Backend,
  numerics: Numerics,
  formats: Iterable<WeightFormat>,
): Promise<{ ok: boolean; detail: string }> {
  const distinct = new Map([...formats].map((format) => [fullFormatName(format), format]));
  const errors: string[] = [];
  let ok = true;
  for (const [name, format] of distinct) {
    const { error, tolerance } = await errorOf(backend, numerics, format);
    ok &&= error <= tolerance; // not of NaN
    errors.push(`${name} ${error.toExponential(1)} (at most ${tolerance})`);
  }
  return { ok, detail: `relative error of linears: ${errors.join(', ')}` };
}

/** Logits of tokens right after their embedding, which has the head's weight. */
function programOf(cols: number): Program {
  const x = { buffer: 'x', offset: 0, width: cols };
  return {
    vocabSize: VOCAB,
    chunk: CHUNK,
    maxContext: Number.POSITIVE_INFINITY,
    buffers: { x: { width: cols } },
    weights: { table: { shape: [VOCAB, cols], role: 'linear' }, norm: { shape: [cols], role: 'vector' } },
    states: {},
    calls: [
      { op: 'embed', table: 'table', y: x },
      { op: 'logits', x, g: 'norm', w: 'table', eps: EPS },
      { op: 'sample' },
    ],
  };
}

async function errorOf(
  backend: Backend,
  numerics: Numerics,
  format: WeightFormat,
): Promise<{ error: number; tolerance: number }> {
  const cols = 2 * Math.max(64, format.kind === 'quant' ? format.group : 0);
  const F32: WeightFormat = { kind: 'float', dtype: 'f32' };
  const table = tableOf(format, cols);
  const norm = Float32Array.from({ length: cols }, (_, i) => 0.5 + ((i * 7) % 16) / 16);
  const options = { slots: 1, numerics, threads: 1 };
  const executor = await backend.create(programOf(cols), { table: format, norm: F32 }, options);
  try {
    executor.sink('table').put(0, table);
    executor.sink('norm').put(0, { format: F32, rows: 1, cols, data: norm });
    await executor.ready();
    const values = toF32(table); // [VOCAB, cols]
    let error = 0;
    for (const rows of STEPS) error = Math.max(error, await stepError(executor, values, norm, rows));
    return { error, tolerance: TOLERANCE[executor.info.numerics] };
  } finally {
    await executor.dispose();
  }
}

async function stepError(executor: Executor, values: Float32Array, norm: Float32Array, rows: number) {
  const cols = norm.length;
  const ids = Int32Array.from({ length: rows }, (_, i) => (i * 37 + rows) % VOCAB);
  const step: Step = {
    ids,
    segments: [{ slot: 0, position: 0, rows }],
    outputs: Array.from(ids, (_, row) => ({ row, logits: true })),
  };
  await executor.resetSlot(0);
  const found: number[] = [];
  const expected: number[] = [];
  for (const [row, { logits }] of (await executor.step(step)).entries()) {
    found.push(...logits!);
    const x = values.subarray(ids[row]! * cols, (ids[row]! + 1) * cols);
    const inverse = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / cols + EPS);
    for (let out = 0; out < VOCAB; out++) {
      let sum = 0;
      for (let c = 0; c < cols; c++) sum += values[out * cols + c]! * x[c]! * inverse * norm[c]!;
      expected.push(sum);
    }
  }
  return relativeError(found, expected);
}

/** The same bits on every machine. */
function tableOf(format: WeightFormat, cols: number): Tensor {
  const bits = pseudoRandomBits();
  const uniform = (from: number, to: number) => from + ((to - from) * bits()) / 2 ** 24;
  const floats = (length: number, from: number, to: number) =>
    Float32Array.from({ length }, () => uniform(from, to));
  const as = (dtype: 'f16' | 'f32', of: Float32Array) => (dtype === 'f32' ? of : f32ToF16(of));
  const [rows, shape] = [VOCAB, { rows: VOCAB, cols }];
  if (format.kind === 'float')
    return { format, ...shape, data: as(format.dtype, floats(rows * cols, -0.3, 0.3)) };
  const groups = rows * Math.ceil(cols / format.group);
  const largest = 0.3 / 2 ** (format.bits - 1);
  const scale = floats(groups, largest / 4, largest);
  const bias = scale.map((s) => -s * (2 ** (format.bits - 1) - uniform(0, 2)));
  return {
    format,
    ...shape,
    q: Uint8Array.from({ length: (rows * cols * format.bits) / 8 }, () => bits() & 255),
    scale: as(format.scaleDtype, scale),
    bias: format.hasBias ? as(format.scaleDtype, bias) : null,
  };
}
