import type { Backend, Executor, OutputResult, WeightFormats } from '../../backends/types.ts';
import type { View } from '../../ops/contract.ts';
import type { Program } from '../../ops/program.ts';
import { GREEDY } from '../../ops/sample.ts';
import type { Numerics, Tensor, WeightFormat } from '../../types.ts';
import { pseudoRandomBits, relativeError, TOLERANCE } from './metrics.ts';
import { KNOWN_LOGITS } from './op_self_test_logits.ts';

const view = (buffer: string, offset: number, width: number): View => ({ buffer, offset, width });
const quant = (bits: 4 | 8, group: 16 | 32, hasBias: boolean): WeightFormat => ({
  kind: 'quant',
  bits,
  group,
  scaleDtype: hasBias ? 'f32' : 'f16',
  hasBias,
});
const F32: WeightFormat = { kind: 'float', dtype: 'f32' };

/** A model of one block of each kind: every op, every weight format, groups cut short. */
const weights: Record<string, { shape: number[]; format: WeightFormat; from: number; to: number }> = {
  table: { shape: [32, 32], format: F32, from: -1, to: 1 },
  norm: { shape: [32], format: F32, from: 0.5, to: 1.5 },
  in_proj: { shape: [194, 32], format: quant(8, 32, false), from: -0.3, to: 0.3 },
  taps: { shape: [128, 4], format: F32, from: -0.5, to: 0.5 },
  taps_bias: { shape: [128], format: F32, from: -0.2, to: 0.2 },
  dt_bias: { shape: [2], format: F32, from: -2, to: 1 },
  A: { shape: [2], format: F32, from: -4, to: -0.1 },
  D: { shape: [2], format: F32, from: 0.5, to: 1.5 },
  gate: { shape: [64], format: F32, from: 0.5, to: 1.5 },
  out_proj: { shape: [32, 64], format: quant(4, 32, false), from: -0.3, to: 0.3 },
  qkv: { shape: [64, 32], format: { kind: 'float', dtype: 'f16' }, from: -0.5, to: 0.5 },
  attn_out: { shape: [32, 32], format: quant(4, 16, true), from: -0.3, to: 0.3 },
  up: { shape: [96, 32], format: quant(8, 32, false), from: -0.3, to: 0.3 },
  down: { shape: [32, 48], format: quant(4, 32, false), from: -0.3, to: 0.3 },
  head: { shape: [32, 32], format: quant(8, 32, false), from: -0.3, to: 0.3 },
};

export const knownFormats: WeightFormats = Object.fromEntries(
  Object.entries(weights).map(([name, { format }]) => [name, format]),
);

const CHUNK = 40;
const WINDOW = 3;
const residual = view('residual', 0, 32);
const eps = 1e-5;

export const knownProgram: Program = {
  vocabSize: 32,
  chunk: CHUNK,
  maxContext: Number.POSITIVE_INFINITY,
  buffers: {
    residual: { width: 32 },
    proj: { width: 194 },
    xBC: { width: 128 },
    y: { width: 64 },
    gated: { width: 64 },
    qkv: { width: 64 },
    attn: { width: 32 },
    hidden: { width: 96 },
    act: { width: 48 },
  },
  weights: Object.fromEntries(
    Object.entries(weights).map(([name, { shape, format }]) => [
      name,
      { shape, role: shape.length === 2 && !(format === F32 && name !== 'table') ? 'linear' : 'vector' },
    ]),
  ),
  states: {
    conv: { shape: [4, 128], layout: { ringAxis: 0 } },
    ssm: { shape: [2, 32, 16], layout: 'dense' },
    kv: { shape: [2, WINDOW + CHUNK - 1, 16], layout: { ringAxis: 1 } },
  },
  calls: [
    { op: 'embed', table: 'table', y: residual },
    { op: 'norm_linear', x: residual, g: 'norm', w: 'in_proj', y: view('proj', 0, 194), eps },
    {
      op: 'conv1d',
      x: view('proj', 64, 128),
      weight: 'taps',
      bias: 'taps_bias',
      state: 'conv',
      y: view('xBC', 0, 128),
      activation: 'silu',
    },
    {
      op: 'ssd_scan',
      x: view('xBC', 0, 64),
      B: view('xBC', 64, 32),
      C: view('xBC', 96, 32),
      dt: view('proj', 192, 2),
      dtBias: 'dt_bias',
      A: 'A',
      D: 'D',
      state: 'ssm',
      y: view('y', 0, 64),
      ngroups: 2,
      dtMin: 0,
      dtMax: Number.POSITIVE_INFINITY,
    },
    {
      op: 'gate_norm',
      x: view('y', 0, 64),
      z: view('proj', 0, 64),
      g: 'gate',
      y: view('gated', 0, 64),
      mode: 'norm_then_gate',
      ngroups: 1,
      eps,
    },
    { op: 'linear_residual', x: view('gated', 0, 64), w: 'out_proj', residual, y: residual },
    { op: 'norm_linear', x: residual, g: 'norm', w: 'qkv', y: view('qkv', 0, 64), eps },
    { op: 'rotary', x: view('qkv', 0, 48), heads: 3, dims: 12, theta: 10_000 },
    {
      op: 'window_attention',
      q: view('qkv', 0, 32),
      k: view('qkv', 32, 16),
      v: view('qkv', 48, 16),
      state: 'kv',
      y: view('attn', 0, 32),
      heads: 2,
      kvHeads: 1,
      window: WINDOW,
      scale: 0.25,
    },
    { op: 'linear_residual', x: view('attn', 0, 32), w: 'attn_out', residual, y: residual },
    { op: 'norm_linear', x: residual, g: 'norm', w: 'up', y: view('hidden', 0, 96), eps },
    {
      op: 'activation',
      x: view('hidden', 0, 48),
      gate: view('hidden', 48, 48),
      y: view('act', 0, 48),
      kind: 'silu',
    },
    { op: 'linear_residual', x: view('act', 0, 48), w: 'down', residual, y: residual },
    { op: 'logits', x: residual, g: 'norm', w: 'head', eps },
    { op: 'sample' },
  ],
};

/**
 * A step of two sequences that prefill, one where the first decodes beside the other's prefill, one of more rows than
 * kernels for few rows take, one where both decode, and one of a single row.
 */
export const knownSteps = [
  { positions: [0, 0], rows: [5, 3] },
  { positions: [5, 3], rows: [1, 6] },
  { positions: [6, 9], rows: [35, 4] },
  { positions: [41, 13], rows: [1, 1] },
  { positions: [42, 14], rows: [1, 0] },
] as const;

/** [9, vocab]: the logits after each segment of `knownSteps`. */
export async function knownLogits(executor: Executor): Promise<{ logits: Float32Array; picked: number[] }> {
  for (const [name, tensor] of knownTensors()) executor.sink(name).put(0, tensor);
  await executor.ready();
  await executor.resetSlot(0);
  await executor.resetSlot(1);
  const results: OutputResult[] = [];
  let id = 3;
  for (const { positions, rows } of knownSteps) {
    const ids = Int32Array.from({ length: rows[0] + rows[1] }, () => (id = (id * 5 + 7) % 32));
    const segments = rows
      .map((count, slot) => ({ slot, position: positions[slot]!, rows: count }))
      .filter((segment) => segment.rows > 0);
    const sample = { ...GREEDY, position: 0 };
    const outputs = [...new Set([rows[0] - 1, ids.length - 1])].map((row) => ({ row, logits: true, sample }));
    for (const result of await executor.step({ ids, segments, outputs }))
      results.push({ ...result, logits: result.logits!.slice() });
  }
  const logits = new Float32Array(results.length * 32); // [9, 32]
  results.forEach((result, i) => {
    logits.set(result.logits!, i * 32);
  });
  return { logits, picked: results.map(({ sampled }) => sampled!.id) };
}

/** Runs the tiny model on a backend, and compares with what the reference said. */
export async function runOpSelfTest(
  backend: Backend,
  numerics: Numerics,
): Promise<{ ok: boolean; detail: string }> {
  const executor = await backend.create(knownProgram, knownFormats, { slots: 2, numerics, threads: 1 });
  try {
    const { logits, picked } = await knownLogits(executor);
    const errors = knownSteps.map((_, step) => errorAfter(logits, step)); // NaN if a logit is
    const error = Math.max(...errors);
    const wrong = picked.findIndex((id, i) => {
      const row = logits.subarray(i * 32, i * 32 + 32);
      return row.some((logit) => logit > row[id]!);
    });
    const tolerance = TOLERANCE[executor.info.numerics];
    const detail = `relative error ${error.toExponential(1)} over all ops (at most ${tolerance})`;
    if (wrong >= 0)
      return { ok: false, detail: `${detail}; token ${picked[wrong]} was picked, which is not the best` };
    const failed = errors.findIndex((of) => !(of <= tolerance));
    if (failed < 0) return { ok: true, detail };
    return {
      ok: false,
      detail: `${detail}, first in a step of ${knownSteps[failed]!.rows.join(' + ')} rows`,
    };
  } finally {
    await executor.dispose();
  }
}

/** Of the logits after the segments of a step. */
function errorAfter(logits: Float32Array, step: number): number {
  const [begin, end] = [step * 64, step * 64 + 64];
  return relativeError(logits.subarray(begin, end), KNOWN_LOGITS.slice(begin, end));
}

/** The weights: the same bits on every machine. */
function* knownTensors(): Generator<[string, Tensor]> {
  const bits = pseudoRandomBits();
  for (const [name, { shape, format, from, to }] of Object.entries(weights)) {
    const uniform = () => from + ((to - from) * bits()) / 2 ** 24;
    const [rows, cols] = shape.length === 2 ? (shape as [number, number]) : [1, shape[0]!];
    yield [name, { ...values(format, rows, cols, uniform, bits), rows, cols } as Tensor];
  }
}

function values(
  format: WeightFormat,
  rows: number,
  cols: number,
  uniform: () => number,
  bits: () => number,
): Partial<Tensor> {
  if (format.kind === 'float') {
    if (format.dtype === 'f32') return { format, data: Float32Array.from({ length: rows * cols }, uniform) };
    // ±2^−5 … ±2^−2: sign, exponent 10 to 12, any mantissa
    const half = () => ((bits() & 1) << 15) | ((10 + (bits() % 3)) << 10) | (bits() & 1023);
    return { format, data: Uint16Array.from({ length: rows * cols }, half) };
  }
  const groups = rows * Math.ceil(cols / format.group);
  const q = Uint8Array.from({ length: rows * Math.ceil((cols * format.bits) / 8) }, () => bits() & 255);
  if (format.hasBias) {
    const scale = Float32Array.from({ length: groups }, () => Math.abs(uniform()) / 8 + 0.01);
    return { format, q, scale, bias: scale.map((s) => -7 * s) };
  }
  const exponent = format.bits === 8 ? 6 : 10; // about 2^−9 · 128, or 2^−5 · 8
  return {
    format,
    q,
    scale: Uint16Array.from({ length: groups }, () => (exponent << 10) | (bits() & 1023)),
    bias: null,
  };
}
