import { describe, expect, test } from 'vitest';
import { findArchitecture } from '../../models/index.ts';
import { reference } from '../../src/backends/reference/index.ts';
import type { Backend, Executor } from '../../src/backends/types.ts';
import type { Program } from '../../src/ops/program.ts';
import type { Numerics, WeightFormat } from '../../src/types.ts';
import { relativeError } from '../helpers/compare.ts';
import { FIXTURES, type Fixture, loadFixture } from '../helpers/fixtures.ts';
import { encodeTensor, F32, formatName, formatsOf, uploadBlocks } from '../helpers/tensors.ts';
import { skipUnavailable } from '../ops/parity.ts';
import { GREEDY } from '../ops/sample_cases.ts';

export interface GoldenOptions {
  label?: string; // of the backend's variant
  numerics?: Numerics; // exact
  threads?: number; // 1
  chunk?: number; // 64
  slots?: number; // 1
  maxContext?: number; // 512
  format?: WeightFormat; // of the linear weights; f32
  tolerance?: number; // of the logits; 1e-4
  /** What logits are compared with: the published ones, or the reference backend's on the same weights. */
  against?: 'published' | 'reference';
  required?: boolean; // fail rather than skip where the backend cannot run
}

export interface FixtureModel {
  fixture: Fixture;
  program: Program;
  executor: Executor;
}

/** A fixture on a backend, ready to step. The caller disposes the executor. */
export async function openFixture(
  backend: Backend,
  name: string,
  options: GoldenOptions = {},
): Promise<FixtureModel> {
  const { numerics = 'exact', threads = 1, chunk = 64, slots = 1, maxContext = 512, format = F32 } = options;
  const fixture = loadFixture(name);
  const blueprint = findArchitecture(fixture.config).read(fixture.config, fixture.tensors);
  const program = blueprint.program({ chunk, maxContext });
  const formats = formatsOf(program, format);
  const executor = await backend.create(program, formats, { slots, numerics, threads });
  for (const [weight, { shape }] of Object.entries(program.weights)) {
    const { tensor, transform, multipliers } = blueprint.sources[weight]!;
    const cols = shape.at(-1)!;
    const factors = multipliers?.flatMap(({ rows, by }) => Array.from({ length: rows }, () => by));
    const stored = Float32Array.from(fixture.tensors.get(tensor)!.values);
    const values = stored.map((x, i) => {
      const value = transform === 'neg_exp' ? -Math.exp(x) : x;
      return factors ? value * factors[Math.floor(i / cols)]! : value;
    });
    uploadBlocks(executor, weight, encodeTensor(values, cols, formats[weight]!));
  }
  await executor.ready();
  return { fixture, program, executor };
}

/**
 * Runs ids from an empty slot, `cut` rows a step (lengths of the steps if a list; the program's chunk if absent),
 * and returns the logits of the last `last` positions, [last, vocab]. The slot is left at position `ids.length`.
 */
export async function logitsOf(
  { executor, program }: Omit<FixtureModel, 'fixture'>,
  ids: ArrayLike<number>,
  last: number,
  { cut = program.chunk, slot = 0 }: { cut?: number | readonly number[]; slot?: number } = {},
): Promise<Float32Array> {
  await executor.resetSlot(slot);
  const out = new Float32Array(last * program.vocabSize); // [last, vocab]
  let filled = 0;
  for (let position = 0, step = 0; position < ids.length; step++) {
    const length = typeof cut === 'number' ? cut : cut[step % cut.length]!;
    const part = Int32Array.from(Array.from(ids).slice(position, position + length));
    const rows = Array.from(part, (_, row) => row).filter((row) => position + row >= ids.length - last);
    const results = await executor.step({
      ids: part,
      segments: [{ slot, position, rows: part.length }],
      outputs: rows.map((row) => ({ row, logits: true })),
    });
    for (const { logits } of results) {
      out.set(logits!, filled);
      filled += program.vocabSize;
    }
    position += part.length;
  }
  return out;
}

/** The prompt and `count` greedy tokens after it, sampled by the backend. */
export async function greedyOf(
  { executor, program }: Omit<FixtureModel, 'fixture'>,
  prompt: ArrayLike<number>,
  count: number,
): Promise<number[]> {
  await executor.resetSlot(0);
  const ids = Array.from(prompt);
  for (let position = 0; ids.length < prompt.length + count; ) {
    const part = Int32Array.from(ids.slice(position, position + program.chunk));
    const complete = position + part.length === ids.length;
    const sample = { ...GREEDY, position: ids.length };
    const results = await executor.step({
      ids: part,
      segments: [{ slot: 0, position, rows: part.length }],
      outputs: complete ? [{ row: part.length - 1, sample }] : [],
    });
    position += part.length;
    if (complete) ids.push(results[0]!.sampled!.id);
  }
  return ids;
}

export interface GoldenReport {
  errors: Record<string, number>; // of the logits, by the name of their ids: 'len64', 'p0'
  greedy: { name: string; expected: number[]; found: number[] }[]; // of float weights in exact numerics only
}

/** Logits [last, vocab] of each list of ids that a fixture knows, in its order. */
async function everyLogits(model: FixtureModel): Promise<Map<string, Float32Array>> {
  const { expected } = model.fixture;
  const found = new Map<string, Float32Array>();
  for (const [key, { shape }] of expected) {
    const [name, kind] = key.split('.') as [string, string];
    if (kind === 'logits')
      found.set(name, await logitsOf(model, expected.get(`${name}.ids`)!.values, shape[0]!));
  }
  return found;
}

const standards = new Map<string, Promise<Map<string, Float32Array>>>();

/** The reference backend's, which chunks and numerics do not change: once for each format. */
function standardLogits(name: string, format: WeightFormat): Promise<Map<string, Float32Array>> {
  const key = `${name} ${formatName(format)}`;
  const compute = async () => {
    const model = await openFixture(reference, name, { format });
    return everyLogits(model).finally(() => model.executor.dispose());
  };
  if (!standards.has(key)) standards.set(key, compute());
  return standards.get(key)!;
}

const publishedLogits = ({ expected }: Fixture) =>
  new Map(
    [...expected]
      .filter(([key]) => key.endsWith('.logits'))
      .map(([key, { values }]) => [key.replace('.logits', ''), Float32Array.from(values)]),
  );

const isExact = ({ numerics = 'exact', format = F32 }: GoldenOptions) =>
  numerics === 'exact' && format.kind === 'float';

/** Logits of every length, and of one row a step; where all is exact, every greedy continuation that a fixture knows. */
export async function runFixture(
  backend: Backend,
  options: GoldenOptions,
  name: string,
): Promise<GoldenReport> {
  const model = await openFixture(backend, name, options);
  const { fixture } = model;
  const { against, format = F32 } = options;
  try {
    const wanted = against === 'reference' ? await standardLogits(name, format) : publishedLogits(fixture);
    const report: GoldenReport = { errors: {}, greedy: [] };
    for (const [ids, found] of await everyLogits(model))
      report.errors[ids] = relativeError(found, wanted.get(ids)!);
    if (isExact(options)) report.greedy = await everyGreedy(model);
    else {
      const [ids] = ['len17', 'p0'].filter((candidate) => wanted.has(candidate));
      const { values } = fixture.expected.get(`${ids}.ids`)!;
      const found = await logitsOf(model, values, values.length, { cut: 1 });
      report.errors[`${ids}, one row a step`] = relativeError(found, wanted.get(ids!)!);
    }
    return report;
  } finally {
    await model.executor.dispose();
  }
}

async function everyGreedy(model: FixtureModel): Promise<GoldenReport['greedy']> {
  const { expected } = model.fixture;
  const greedy: GoldenReport['greedy'] = [];
  for (const [key, { values }] of expected) {
    if (!key.includes('greedy')) continue;
    const prompt = expected.get(key === 'greedy.ids' ? 'len5.ids' : key.replace('.greedy', '.ids'))!.values;
    const found = await greedyOf(model, prompt, values.length - prompt.length);
    greedy.push({ name: key, expected: Array.from(values), found });
  }
  return greedy;
}

/** Registers a test for every fixture: logits within tolerance, and the same greedy tokens if weights are float and exact. */
export function runGolden(
  backend: Backend,
  options: GoldenOptions = {},
  names: readonly string[] = FIXTURES,
): void {
  const { tolerance = 1e-4 } = options;
  describe(`golden on ${options.label ?? backend.name}`, () => {
    for (const name of names)
      test(name, async (context) => {
        await skipUnavailable(backend, options.required ?? false, context);
        const report = await runFixture(backend, options, name);
        expect(Object.keys(report.errors).length).toBeGreaterThan(0);
        for (const [ids, error] of Object.entries(report.errors))
          expect(error, `logits of ${ids}`).toBeLessThanOrEqual(tolerance);
        if (isExact(options)) expect(report.greedy.length).toBeGreaterThan(0);
        for (const { name, expected, found } of report.greedy) expect(found, name).toEqual(expected);
      });
  });
}
