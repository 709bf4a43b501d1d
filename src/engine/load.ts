import { findArchitecture } from '../../models/index.ts';
import type { Blueprint } from '../../models/types.ts';
import { type Candidate, noBackend, type Rejection, rankBackends, reasons } from '../backends/select.ts';
import {
  type Backend,
  type Executor,
  type ExecutorOptions,
  type MemoryPlan,
  UPLOAD_ROWS,
} from '../backends/types.ts';
import { EdgeError, messageOf, throwIfAborted } from '../errors.ts';
import { type FileSetSource, openFileSet } from '../io/fileset.ts';
import type { FileSet } from '../io/types.ts';
import type { Program } from '../ops/program.ts';
import { ImageLayout } from '../state/image.ts';
import { parseTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import type { BackendId, WeightFormat } from '../types.ts';
import { openCheckpoint } from '../weights/checkpoint.ts';
import { fullFormatName } from '../weights/format.ts';
import { type WeightPlan, weightFormats } from '../weights/plan.ts';
import { elementCount } from '../weights/shape.ts';
import type { Checkpoint } from '../weights/types.ts';
import { uploadWeights } from '../weights/upload.ts';
import { hostBytes, shadowSlots } from './core/device.ts';
import { type LoadSettings, readLoadOptions } from './core/load_options.ts';
import { Engine } from './engine.ts';
import { type GenerationConfig, readGenerationConfig } from './language/generation_config.ts';
import { runFormatSelfTest } from './selftest/format_self_test.ts';
import { runOpSelfTest } from './selftest/op_self_test.ts';
import { readGolden } from './selftest/selftest.ts';
import type { EngineInfo, LoadEngineOptions, Progress } from './types.ts';

export interface LoadContext {
  /** Backends of this build and runtime, in any order. */
  backends: readonly Backend[];
  onProgress?: ((progress: Progress) => void) | null | undefined;
  signal?: AbortSignal | undefined;
}

/** Facts of a model, known before a device is started and a weight is read. */
export type ModelDescription = Omit<EngineInfo, 'variant' | 'device' | 'threads' | 'fingerprint'>;

/** Rows of prefill fed at a time, where neither the user nor the backend says how many. */
const DEFAULT_CHUNK = 64;

/** Time that a load must last before its pace predicts its end. */
const PACE_MS = 250;

/** Between two words of progress, which are messages to another thread. */
const PROGRESS_MS = 33;

/** A checkpoint with the program to run it. */
interface Plan {
  checkpoint: Checkpoint;
  blueprint: Blueprint;
  program: Program;
  weights: WeightPlan;
  tokenizer: Tokenizer | null;
  generation: GenerationConfig;
  settings: LoadSettings;
  execution: ExecutorOptions;
}

/**
 * Loads a model: its files, the program for its architecture, the best backend that runs here, its weights.
 * @throws NOT_FOUND, NETWORK, INVALID_FILE, UNSUPPORTED_MODEL, UNSUPPORTED_BACKEND, OUT_OF_MEMORY, ABORTED,
 *   INVALID_ARGUMENT
 */
export async function loadEngine(
  source: FileSet | FileSetSource,
  options: LoadEngineOptions,
  context: LoadContext,
): Promise<Engine> {
  const { onProgress, signal } = context;
  onProgress?.({ stage: 'open', loaded: 0, total: 0, remainingMs: null });
  return withPlan(source, options, context, async (unfitted) => {
    const { plan, backend, executor, why } = await startBackend(unfitted, context.backends);
    try {
      throwIfAborted(signal);
      const nonFinite = await upload(plan, executor, context);
      const { memory, info } = executor;
      const facts = describeModel(plan, backend.name, memory, why(info.why));
      const { variant, device, threads, numerics } = info;
      const fingerprint = await plan.checkpoint.fingerprint(signal);
      const engine = new Engine({
        executor,
        program: plan.program,
        tokenizer: plan.tokenizer,
        tokenizerLack: plan.checkpoint.tokenizerLack,
        info: { ...facts, variant, device, threads, numerics, fingerprint },
        golden: readGolden(plan.checkpoint.name, plan.checkpoint.metadata.selftest, plan.program.vocabSize),
        nonFinite,
        testOps: () => runOpSelfTest(backend, plan.settings.numerics),
        testFormats: () => runFormatSelfTest(backend, plan.settings.numerics, linearFormats(plan)),
      });
      throwIfAborted(signal);
      const { bytes } = plan.weights;
      onProgress?.({ stage: 'ready', loaded: bytes, total: bytes, remainingMs: 0 });
      return engine;
    } catch (error) {
      await executor.dispose();
      throw error;
    }
  });
}

/** The memory contract of a model, before anything is loaded: what `edge-ssm info` prints. */
export async function describe(
  source: FileSet | FileSetSource,
  options: LoadEngineOptions,
  context: LoadContext,
): Promise<ModelDescription> {
  const { backends } = context;
  return withPlan(source, options, context, async (unfitted) => {
    const wanted = unfitted.settings.backend;
    const { ranked, rejected } = rankBackends(wanted, await candidates(backends, wanted));
    const backend = backends.find(({ name }) => name === ranked[0])!;
    const plan = fitted(unfitted, backend);
    const memory = backend.plan(plan.program, plan.weights.formats, plan.execution);
    return describeModel(plan, backend.name, memory, explain(plan.settings, rejected));
  });
}

/** Opens a checkpoint and plans for it; closes it at the end. */
async function withPlan<T>(
  source: FileSet | FileSetSource,
  options: LoadEngineOptions,
  { backends, signal }: LoadContext,
  run: (plan: Plan) => Promise<T>,
): Promise<T> {
  const settings = readLoadOptions(options, backends);
  throwIfAborted(signal);
  const files = isFileSet(source) ? source : await openFileSet(source);
  const checkpoint = await openCheckpoint(files, signal ? { signal } : {});
  try {
    return await run(makePlan(checkpoint, settings));
  } finally {
    await checkpoint.close();
  }
}

function isFileSet(source: FileSet | FileSetSource): source is FileSet {
  return typeof source === 'object' && 'open' in source && typeof source.open === 'function';
}

function makePlan(checkpoint: Checkpoint, settings: LoadSettings): Plan {
  const blueprint = findArchitecture(checkpoint.config).read(checkpoint.config, checkpoint.tensors);
  const program = blueprint.program({
    chunk: settings.chunk ?? DEFAULT_CHUNK,
    maxContext: settings.maxContext,
  });
  const weights = weightFormats(checkpoint, blueprint.sources, program.weights, settings.quantize);
  const { numerics, threads, memoryBudget, maxSessions } = settings;
  const execution: ExecutorOptions = { slots: maxSessions, numerics, threads };
  if (memoryBudget !== undefined) execution.memoryBudget = memoryBudget;
  const tokenizer =
    checkpoint.tokenizer === null
      ? null
      : parseTokenizer(
          {
            name: `of ${checkpoint.name}`,
            tokenizer: checkpoint.tokenizer,
            config: checkpoint.tokenizerConfig,
          },
          program.vocabSize,
        );
  const generation = readGenerationConfig(checkpoint, program.vocabSize);
  return { checkpoint, blueprint, program, weights, tokenizer, generation, settings, execution };
}

/**
 * The plan as a backend likes it best: in its chunks, unless the user has said how many rows, and with the slots that its
 * engine wants beside the sessions', as far as the budget has room for them.
 */
function fitted(plan: Plan, backend: Backend): Plan {
  const { settings, blueprint, weights } = plan;
  const { maxContext, maxSessions, memoryBudget = Number.POSITIVE_INFINITY } = settings;
  const program = blueprint.program({ chunk: settings.chunk ?? backend.chunk ?? DEFAULT_CHUNK, maxContext });
  const { slotBytes } = new ImageLayout(program);
  const withSlots = (distant = false): Plan => {
    const slots = maxSessions + shadowSlots(distant, slotBytes, settings);
    return { ...plan, program, execution: { ...plan.execution, slots } };
  };
  const roomy = withSlots(backend.distant);
  const { totalBytes } = backend.plan(program, weights.formats, roomy.execution);
  return totalBytes <= memoryBudget ? roomy : withSlots();
}

/** The one that is wanted, or all, if that can't run or for 'auto', which leaves out what would not run well. */
async function candidates(backends: readonly Backend[], wanted: BackendId | 'auto'): Promise<Candidate[]> {
  const ask = (asked: readonly Backend[]) =>
    Promise.all(
      asked.map(async (backend) => {
        const unsuitable = wanted === 'auto' ? await backend.unsuitable?.() : null;
        return { name: backend.name, unavailable: unsuitable ?? (await backend.unavailable()) };
      }),
    );
  const found = await ask(backends.filter(({ name }) => name === wanted));
  return found.some(({ unavailable }) => unavailable === null) ? found : ask(backends);
}

interface Started {
  plan: Plan;
  backend: Backend;
  executor: Executor;
  why(reason: string): string;
}

/** The first backend that takes the model; with 'auto' it must also pass the known-answer test on this device. */
async function startBackend(unfitted: Plan, backends: readonly Backend[]): Promise<Started> {
  const { settings, weights } = unfitted;
  const offered = await candidates(backends, settings.backend);
  const { ranked, rejected } = rankBackends(settings.backend, offered);
  const failures: Rejection[] = [...rejected];
  let cause: unknown;
  for (const name of ranked) {
    const backend = backends.find((other) => other.name === name)!;
    try {
      if (settings.backend === 'auto') {
        const { ok, detail } = await runOpSelfTest(backend, settings.numerics);
        if (!ok) throw new EdgeError('UNSUPPORTED_BACKEND', `its self-test failed: ${detail}`);
      }
      const plan = fitted(unfitted, backend);
      const executor = await backend.create(plan.program, weights.formats, plan.execution);
      return { plan, backend, executor, why: (reason) => `${reason}${explain(settings, failures, '; ')}` };
    } catch (error) {
      if (settings.backend !== 'auto') throw error;
      failures.push({ name, reason: messageOf(error) });
      cause = error;
    }
  }
  // One that would have run, had there been room, says so itself.
  if (cause instanceof EdgeError && cause.code === 'OUT_OF_MEMORY') throw cause;
  throw noBackend(settings.backend, failures, offered, cause);
}

function explain({ backend }: LoadSettings, rejected: readonly Rejection[], separator = ''): string {
  if (backend !== 'auto') return `${separator}asked for`;
  return rejected.length > 0 ? `${separator}not ${reasons(rejected)}` : '';
}

/** Answers where the first number is that is not finite, or null. */
async function upload(
  plan: Plan,
  executor: Executor,
  { onProgress, signal }: LoadContext,
): Promise<string | null> {
  const { checkpoint, blueprint, program, weights } = plan;
  const begin = performance.now();
  let told = Number.NEGATIVE_INFINITY;
  await uploadWeights(
    checkpoint,
    blueprint.sources,
    program.weights,
    weights.formats,
    (name) => executor.sink(name),
    {
      blockRows: UPLOAD_ROWS,
      signal,
      onProgress(loaded, total) {
        const elapsed = performance.now() - begin;
        if (loaded < total && elapsed - told < PROGRESS_MS) return;
        told = elapsed;
        const remainingMs = elapsed < PACE_MS ? null : Math.round((elapsed / loaded) * (total - loaded));
        onProgress?.({ stage: 'weights', loaded, total, remainingMs });
      },
    },
  );
  return executor.ready();
}

function describeModel(plan: Plan, backend: BackendId, memory: MemoryPlan, why: string): ModelDescription {
  const { checkpoint, blueprint, program, weights, tokenizer, generation, settings, execution } = plan;
  const { weightBytes, stateBytes, scratchBytes, totalBytes } = memory;
  return {
    name: checkpoint.name,
    architecture: blueprint.architecture,
    backend,
    why,
    numerics: settings.numerics,
    weights: mostFrequent(program, weights.formats),
    parameters: weights.parameters,
    vocabSize: program.vocabSize,
    dModel: blueprint.dModel,
    nLayer: blueprint.nLayer,
    maxSessions: settings.maxSessions,
    shadowSlots: execution.slots - settings.maxSessions,
    maxContext: program.maxContext,
    chunk: program.chunk,
    slotBytes: stateBytes / execution.slots,
    maxHistory: settings.maxHistory,
    checkpointEvery: settings.checkpointEvery,
    checkpointBytes: settings.checkpointBytes,
    cacheBytes: settings.cacheBytes,
    spill: settings.spill,
    maxQueue: settings.maxQueue,
    hostBytes: hostBytes(settings, settings.maxSessions, stateBytes / execution.slots),
    bosTokenId: generation.bosTokenId ?? blueprint.bosTokenId,
    eosTokenIds: generation.eosTokenIds ?? blueprint.eosTokenIds,
    generationDefaults: generation.defaults,
    hasTokenizer: tokenizer !== null,
    hasChatTemplate: tokenizer !== null && tokenizer.chat.size > 0,
    weightBytes,
    stateBytes,
    scratchBytes,
    totalBytes,
  };
}

/** Weight formats that the kernels of a model's linears read. */
function linearFormats({ program, weights }: Plan): WeightFormat[] {
  const linears = Object.entries(program.weights).filter(([, { role }]) => role === 'linear');
  return linears.map(([name]) => weights.formats[name]!);
}

/** The format that most values of linear weights have. */
function mostFrequent(program: Program, formats: WeightPlan['formats']): WeightFormat {
  const counts = new Map<string, { format: WeightFormat; values: number }>();
  for (const [name, { shape, role }] of Object.entries(program.weights)) {
    if (role !== 'linear') continue;
    const format = formats[name]!;
    const key = fullFormatName(format);
    const entry = counts.get(key) ?? { format, values: 0 };
    entry.values += elementCount(shape);
    counts.set(key, entry);
  }
  const [first] = [...counts.values()].sort((a, b) => b.values - a.values);
  return first?.format ?? { kind: 'float', dtype: 'f32' };
}
