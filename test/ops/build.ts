import type { Output, Segment } from '../../src/backends/types.ts';
import type { View } from '../../src/ops/contract.ts';
import type { OpCall } from '../../src/ops/index.ts';
import type { Program, StateSpec, WeightSpec } from '../../src/ops/program.ts';
import type { WeightFormat } from '../../src/types.ts';
import type { Random } from '../helpers/random.ts';

export type Draw = (random: Random, index: number) => number;

/** One step of a case. `ids` are drawn if absent. */
export interface CaseStep {
  segments: readonly Segment[];
  outputs: readonly Output[];
  ids?: Int32Array; // [rows]
}

/** One op in one shape: a program of that op alone, what goes in, and the steps to run. */
export interface OpCase {
  name: string;
  program: Program;
  inputs: readonly { view: View; draw: Draw }[];
  /** Values of weights that need more than a random sign; others are drawn with unit gain. */
  values: Readonly<Record<string, Draw>>;
  formats: readonly WeightFormat[]; // of the linear weights
  steps: readonly CaseStep[];
  /** Sampled ids in the order of outputs, all steps, where they can be told by hand. */
  expected?: readonly number[];
}

/** Activation buffers and views into them; every buffer is as wide as its views need. */
export class Views {
  readonly buffers: Record<string, { width: number }> = {};
  readonly inputs: { view: View; draw: Draw }[] = [];

  /** A view with `before` and `after` columns of others around it, filled by `draw` if it is an input. */
  add(buffer: string, width: number, draw: Draw | null, before = 0, after = 0): View {
    const offset = (this.buffers[buffer]?.width ?? 0) + before;
    this.buffers[buffer] = { width: offset + width + after };
    const view: View = { buffer, offset, width };
    if (draw) this.inputs.push({ view, draw });
    return view;
  }
}

export const normal: Draw = (random) => random.normal();
export const around =
  (center: number, deviation: number): Draw =>
  (random) =>
    center + random.normal(deviation);

interface CaseParts {
  views: Views;
  weights?: Record<string, WeightSpec>;
  states?: Record<string, StateSpec>;
  calls: OpCall[];
  values?: Record<string, Draw>;
  formats?: readonly WeightFormat[];
  vocabSize?: number;
  chunk?: number;
  expected?: readonly number[];
}

/** Puts a case together; the chunk is the largest step unless given. */
export function buildCase(name: string, steps: readonly CaseStep[], parts: CaseParts): OpCase {
  const rows = steps.map(({ segments }) => segments.reduce((sum, segment) => sum + segment.rows, 0));
  return {
    name,
    steps,
    inputs: parts.views.inputs,
    values: parts.values ?? {},
    formats: parts.formats ?? [{ kind: 'float', dtype: 'f32' }],
    ...(parts.expected && { expected: parts.expected }),
    program: {
      buffers: parts.views.buffers,
      weights: parts.weights ?? {},
      states: parts.states ?? {},
      calls: parts.calls,
      vocabSize: parts.vocabSize ?? 16,
      chunk: parts.chunk ?? Math.max(...rows),
      maxContext: Number.POSITIVE_INFINITY,
    },
  };
}

/** Steps of ops that know no position: so many rows of one slot. */
export function rowsOf(...counts: number[]): CaseStep[] {
  return counts.map((rows) => ({ segments: [{ slot: 0, position: 0, rows }], outputs: [] }));
}

/** A step of segments `[slot, position, rows]`. */
export function segmentsOf(...segments: [slot: number, position: number, rows: number][]): CaseStep {
  return {
    segments: segments.map(([slot, position, rows]) => ({ slot, position, rows })),
    outputs: [],
  };
}

export const vector = (n: number): WeightSpec => ({ shape: [n], role: 'vector' });
export const matrix = (out: number, width: number): WeightSpec => ({ shape: [out, width], role: 'linear' });
