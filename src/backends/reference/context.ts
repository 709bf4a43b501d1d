import type { View } from '../../ops/contract.ts';
import type { Output, OutputResult, Segment } from '../types.ts';

/** A segment and the row of the step where it begins. */
export interface PlacedSegment extends Segment {
  first: number;
}

/** A ring or dense state of one slot, as stored: ring rows at `position mod ring`. */
export interface SlotState {
  shape: readonly number[];
  data: Float64Array; // [...shape]
}

/** What the ops of one step read and write. Everything is float64. */
export interface StepContext {
  ids: Int32Array; // [rows]
  rows: number;
  segments: readonly PlacedSegment[];
  outputs: readonly Output[];
  results: OutputResult[]; // one an output
  logits: Map<number, Float32Array>; // by row: [vocab], written by `logits`, read by `sample`
  weight(name: string): { shape: readonly number[]; data: Float64Array };
  state(name: string, slot: number): SlotState;
  /** One row of a view: a window into the activation buffer. */
  row(view: View, row: number): Float64Array; // [view.width]
}

/** `scale · (W · x + b)` for one row. */
export function matvec(
  ctx: StepContext,
  w: string,
  b: string | undefined,
  x: Float64Array, // [in]
  scale: number,
): Float64Array {
  const { shape, data } = ctx.weight(w); // [out, in]
  const bias = b === undefined ? null : ctx.weight(b).data; // [out]
  const [out, width] = shape as [number, number];
  const y = new Float64Array(out);
  for (let o = 0; o < out; o++) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += data[o * width + i]! * x[i]!;
    y[o] = scale * (sum + (bias ? bias[o]! : 0));
  }
  return y;
}

/** `x / sqrt(mean(x²) + eps) ⊙ g`. */
export function rmsNorm(x: Float64Array, g: Float64Array, eps: number): Float64Array {
  let squares = 0;
  for (const value of x) squares += value * value;
  const inverse = 1 / Math.sqrt(squares / x.length + eps);
  return x.map((value, i) => value * inverse * g[i]!);
}

/** `x · sigmoid(x)`. */
export function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}
