import { reference } from '../../src/backends/reference/index.ts';
import type { Backend, Executor, OutputResult, Segment, Step } from '../../src/backends/types.ts';
import type { Operand, View } from '../../src/ops/contract.ts';
import { type OpName, ops } from '../../src/ops/index.ts';
import type { Program, StateSpec } from '../../src/ops/program.ts';
import type { Numerics, Tensor, WeightFormat } from '../../src/types.ts';
import { relativeError } from '../helpers/compare.ts';
import { Random } from '../helpers/random.ts';
import { floatTensor, formatName, formatsOf, randomTensor, uploadBlocks } from '../helpers/tensors.ts';
import type { CaseStep, OpCase } from './build.ts';

/** Fills what an op has no business with: far from every value, yet finite. */
const SENTINEL = 1e9;

/** A result that is further from the reference than its op's tolerance allows. */
export interface Difference {
  what: string;
  error: number;
  tolerance: number;
}

interface RunOptions {
  numerics: Numerics;
  threads: number;
  tolerance?: number | undefined; // of outputs, instead of the op's
}

/** What a step left behind. */
interface Trace {
  before: Record<string, Float32Array>; // [chunk, width] by buffer
  buffers: Record<string, Float32Array>; // [chunk, width] by buffer
  results: OutputResult[];
  states: Record<string, Float32Array>[]; // by slot
}

/** Runs one case with its linear weights in one format; returns what differs from the reference backend. */
export async function runCase(
  backend: Backend,
  op: OpName,
  testCase: OpCase,
  format: WeightFormat,
  options: RunOptions,
): Promise<Difference[]> {
  const expected = await referenceTraces(op, testCase, format);
  const found = await traces(backend, op, testCase, format, options);
  const { tolerance } = ops[op] as { tolerance: { exact: number; i16?: number; i8?: number } };
  const loose = format.kind === 'quant' ? (tolerance[options.numerics] ?? tolerance.exact) : tolerance.exact;
  const limits = { outputs: options.tolerance ?? loose, states: tolerance.exact };
  return testCase.steps
    .flatMap((step, i) =>
      compareStep(testCase, step, found[i]!, expected[i]!, limits).map((difference) => ({
        ...difference,
        what: `step ${i}: ${difference.what}`,
      })),
    )
    .filter(({ error, tolerance }) => !(error <= tolerance));
}

const cache = new Map<string, Promise<Trace[]>>();

function referenceTraces(op: OpName, testCase: OpCase, format: WeightFormat): Promise<Trace[]> {
  const key = `${op} ${testCase.name} ${formatName(format)}`;
  let pending = cache.get(key);
  if (!pending) {
    pending = traces(reference, op, testCase, format, { numerics: 'exact', threads: 1 });
    cache.set(key, pending);
  }
  return pending;
}

/** The results of every output of a case, step by step, on the reference: for expectations told by hand. */
export async function referenceResults(op: OpName, testCase: OpCase): Promise<OutputResult[]> {
  return (await referenceTraces(op, testCase, testCase.formats[0]!)).flatMap((trace) => trace.results);
}

async function traces(
  backend: Backend,
  op: OpName,
  testCase: OpCase,
  format: WeightFormat,
  options: RunOptions,
): Promise<Trace[]> {
  const { program, steps } = testCase;
  const key = `${op} ${testCase.name} ${formatName(format)}`;
  const formats = formatsOf(program, format);
  const slots = 2 + Math.max(...steps.flatMap((step) => step.segments.map((segment) => segment.slot)));
  const executor = await backend.create(program, formats, { slots, ...options });
  try {
    const weights = drawWeights(key, testCase, formats);
    for (const [name, tensor] of Object.entries(weights)) uploadBlocks(executor, name, tensor);
    await executor.ready();
    const random = new Random(`inputs of ${key}`);
    const positions = await fillSlots(executor, testCase, slots, random);
    const out: Trace[] = [];
    for (const step of steps) out.push(await traceStep(executor, testCase, step, positions, random));
    return out;
  } finally {
    await executor.dispose();
  }
}

/** The weights drawn last: a case runs on the reference and then in several modes. */
let drawn: { key: string; weights: Record<string, Tensor> } | null = null;

function drawWeights(
  key: string,
  testCase: OpCase,
  formats: Record<string, WeightFormat>,
): Record<string, Tensor> {
  if (drawn?.key !== key) {
    const random = new Random(key);
    const draw = (name: string) => drawWeight(random, testCase, name, formats[name]!);
    drawn = { key, weights: Object.fromEntries(Object.keys(formats).map((name) => [name, draw(name)])) };
  }
  return drawn.weights;
}

function drawWeight(random: Random, testCase: OpCase, name: string, format: WeightFormat): Tensor {
  const { shape } = testCase.program.weights[name]!;
  const cols = shape.at(-1)!; // a vector is one row
  const rows = shape.length > 1 ? shape[0]! : 1;
  const draw = testCase.values[name];
  if (!draw || format.kind === 'quant') return randomTensor(random, rows, cols, format);
  return floatTensor(random.floats(rows * cols, draw), cols, format);
}

/** Slots begin as their first segment says: empty at position 0, else with a state. Others must stay as they are. */
async function fillSlots(
  executor: Executor,
  testCase: OpCase,
  slots: number,
  random: Random,
): Promise<number[]> {
  const segments = testCase.steps.flatMap((step) => step.segments);
  const positions: number[] = [];
  for (let slot = 0; slot < slots; slot++) {
    const position = segments.find((segment) => segment.slot === slot)?.position ?? 6;
    const states = Object.entries(testCase.program.states).map(([name, spec]) => {
      const values = random.floats(elements(spec.shape), () => random.normal(0.5));
      return [name, dropBeforeStart(values, spec, position || 6)];
    });
    await executor.writeSlot(slot, position || 6, Object.fromEntries(states));
    if (position === 0) await executor.resetSlot(slot);
    positions.push(position);
  }
  return positions;
}

/** Zeroes the ring rows of positions below 0. */
function dropBeforeStart(values: Float32Array, spec: StateSpec, position: number): Float32Array {
  if (spec.layout === 'dense') return values;
  const axis = spec.layout.ringAxis;
  const ring = spec.shape[axis]!;
  const inner = elements(spec.shape.slice(axis + 1));
  return values.map((value, i) => (position - ring + (Math.floor(i / inner) % ring) < 0 ? 0 : value));
}

async function traceStep(
  executor: Executor,
  testCase: OpCase,
  step: CaseStep,
  positions: number[],
  random: Random,
): Promise<Trace> {
  const { program } = testCase;
  const rows = liveRows(step.segments);
  const before = drawBuffers(random, testCase, rows);
  for (const [name, data] of Object.entries(before)) await executor.writeBuffer(name, data);
  const ids = step.ids ?? Int32Array.from({ length: rows }, () => random.below(program.vocabSize));
  const results = await executor.step({ ids, segments: step.segments, outputs: step.outputs } satisfies Step);
  const buffers: Record<string, Float32Array> = {};
  for (const name of Object.keys(program.buffers)) buffers[name] = await executor.readBuffer(name);
  for (const { slot, position, rows } of step.segments) positions[slot] = position + rows;
  const states: Record<string, Float32Array>[] = [];
  for (const [slot, position] of positions.entries()) states.push(await executor.readSlot(slot, position));
  return { before, buffers, results, states };
}

function drawBuffers(random: Random, testCase: OpCase, rows: number): Record<string, Float32Array> {
  const { buffers, chunk } = testCase.program;
  const out: Record<string, Float32Array> = {};
  for (const [name, { width }] of Object.entries(buffers))
    out[name] = new Float32Array(chunk * width).fill(SENTINEL);
  for (const { view, draw } of testCase.inputs)
    for (let i = 0; i < rows * view.width; i++) {
      const row = Math.floor(i / view.width);
      out[view.buffer]![row * buffers[view.buffer]!.width + view.offset + (i % view.width)] = draw(random, i);
    }
  return out;
}

function compareStep(
  testCase: OpCase,
  step: CaseStep,
  found: Trace,
  expected: Trace,
  limits: { outputs: number; states: number },
): Difference[] {
  const { program } = testCase;
  const rows = liveRows(step.segments);
  const differences: Difference[] = [];
  const add = (what: string, a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number) =>
    differences.push({ what, error: relativeError(a, b), tolerance });
  const written = writtenViews(program);
  for (const view of written) {
    const { width } = program.buffers[view.buffer]!;
    const inside = (i: number) => i >= view.offset && i < view.offset + view.width;
    const [a, b] = [found, expected].map((trace) =>
      columns(trace.buffers[view.buffer]!, rows, width, inside),
    );
    add(`${view.buffer}[${view.offset}, ${view.offset + view.width})`, a!, b!, limits.outputs);
  }
  for (const [name, { width }] of Object.entries(program.buffers)) {
    const outside = (i: number) =>
      !written.some((v) => v.buffer === name && i >= v.offset && i < v.offset + v.width);
    const [a, b] = [found.buffers[name]!, found.before[name]!].map((x) => columns(x, rows, width, outside));
    add(`columns of '${name}' that nothing writes`, a!, b!, 0);
  }
  const used = new Set(testCase.steps.flatMap(({ segments }) => segments.map(({ slot }) => slot)));
  expected.states.forEach((states, slot) => {
    for (const [name, values] of Object.entries(states))
      add(
        `state '${name}' of slot ${slot}`,
        found.states[slot]![name]!,
        values,
        used.has(slot) ? limits.states : 0,
      );
  });
  compareResults(found.results, expected.results, limits.outputs, add);
  return differences;
}

type Add = (what: string, a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number) => void;

function compareResults(found: OutputResult[], expected: OutputResult[], tolerance: number, add: Add): void {
  const list = (results: OutputResult[], pick: (result: OutputResult) => (number | undefined)[]) =>
    results.flatMap((result) => pick(result).map((value) => value ?? Number.NaN));
  expected.forEach((result, i) => {
    if (result.logits) add(`logits of output ${i}`, found[i]?.logits ?? [], result.logits, tolerance);
  });
  const targets = (result: OutputResult) => ('target' in result ? [result.target] : []);
  const tokens = (result: OutputResult) =>
    result.sampled ? [result.sampled.id, ...result.sampled.top.map((token) => token.id)] : [];
  const logprobs = (result: OutputResult) =>
    result.sampled ? [result.sampled.logprob, ...result.sampled.top.map((token) => token.logprob)] : [];
  add('log-probabilities of targets', list(found, targets), list(expected, targets), tolerance);
  add('sampled and top ids', list(found, tokens), list(expected, tokens), 0);
  add('their log-probabilities', list(found, logprobs), list(expected, logprobs), tolerance);
}

/** Views that the program's calls write. */
function writtenViews(program: Program): View[] {
  return program.calls.flatMap((call) =>
    Object.entries(ops[call.op].operands as Record<string, Operand>)
      .filter(([, operand]) => operand.kind === 'activation' && operand.access !== 'read')
      .map(([name]) => (call as unknown as Record<string, View>)[name]!),
  );
}

function columns(data: Float32Array, rows: number, width: number, keep: (column: number) => boolean) {
  return data.subarray(0, rows * width).filter((_, i) => keep(i % width)); // [rows, kept]
}

function liveRows(segments: readonly Segment[]): number {
  return segments.reduce((sum, segment) => sum + segment.rows, 0);
}

function elements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
