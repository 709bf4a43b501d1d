import { EdgeError, requireArgument, show } from '../../errors.ts';
import { MAX_BIAS, MAX_TOP, penalizes, type SampleParams } from '../../ops/sample.ts';
import { SAMPLING_ROWS, type Sampling, type SamplingName } from '../../ops/sampling_options.ts';
import type { EncodeOptions } from '../../tokenizer/index.ts';
import type { GenerateOptions, GenerationDefaults } from '../types.ts';

/** `GenerateOptions`, checked, with every default filled in. */
export interface Settings {
  maxTokens: number;
  sampling: Omit<SampleParams, 'position' | 'recent'>;
  penalizes: boolean; // whether sampling looks at recent ids
  seed: number;
  stop: readonly string[];
  stopTokens: ReadonlySet<number>;
  ignoreEos: boolean;
  logprobs: number | null; // how many of the most probable tokens; null: none, nor the token's own
}

const NAMES: readonly (keyof GenerateOptions)[] = [
  'maxTokens',
  ...SAMPLING_ROWS.map(([name]) => name),
  ...(['logitBias', 'seed', 'stop', 'stopTokens', 'ignoreEos', 'logprobs'] as const),
  ...(['addSpecialTokens', 'parseSpecial'] as const),
];

/** More would only slow every token down. */
const MAX_STOPS = 256;
const MAX_STOP_LENGTH = 10_000;
const TWO_32 = 2 ** 32;

/**
 * Checks the options of a generation; of those that are not given, the model's defaults apply.
 * @throws INVALID_ARGUMENT, naming the option and what it takes
 */
export function readOptions(
  given: GenerateOptions,
  vocabSize: number,
  defaults: GenerationDefaults = {},
): Settings {
  requireArgument(
    typeof given === 'object' && given !== null && !Array.isArray(given),
    `Generation options must be an object, found ${show(given)}`,
  );
  for (const name of Object.keys(given))
    requireArgument(
      (NAMES as readonly string[]).includes(name),
      `Unknown generation option '${name}'; there are ${NAMES.join(', ')}`,
    );
  const options: GenerateOptions = { ...defaults };
  for (const [name, value] of Object.entries(given))
    if (value !== undefined) Object.assign(options, { [name]: value });
  const sampling = readSampling(options, vocabSize);
  const seed = readSeed(options, sampling.temperature);
  const logprobs = readLogprobs(options);
  return {
    maxTokens: readNumber(options, 'maxTokens', 256, {
      range: 'an integer of at least 1',
      fits: (n) => Number.isSafeInteger(n) && n >= 1,
    }),
    sampling: {
      ...sampling,
      seedLo: seed % TWO_32,
      seedHi: Math.floor(seed / TWO_32),
      bias: readBias(options.logitBias, vocabSize),
      top: logprobs ?? 0,
    },
    penalizes: penalizes(sampling),
    seed,
    stop: readStop(options.stop),
    stopTokens: readStopTokens(options.stopTokens, vocabSize),
    ignoreEos: readFlag(options, 'ignoreEos', false),
    logprobs,
  };
}

function readNumber(
  options: GenerateOptions,
  name: SamplingName | 'maxTokens' | 'seed',
  absent: number,
  { range, fits }: { range: string; fits(value: number): boolean },
): number {
  const value: unknown = options[name];
  if (value === undefined) return absent;
  requireArgument(
    typeof value === 'number' && fits(value),
    `${name} must be a number: ${range}; found ${show(value)}`,
  );
  return value;
}

function readSampling(options: GenerateOptions, vocabSize: number): Sampling {
  const entries = SAMPLING_ROWS.map(([name, row]) => {
    const value = readNumber(options, name, row.off, row);
    return [name, row.word === 'count' ? Math.min(value, vocabSize) : value];
  });
  return Object.fromEntries(entries) as Sampling;
}

/** Without a seed, a random one if there is anything to draw. */
function readSeed(options: GenerateOptions, temperature: number): number {
  const seed = readNumber(options, 'seed', -1, {
    range: 'an integer from 0 to 2^53 - 1',
    fits: (value) => Number.isSafeInteger(value) && value >= 0,
  });
  if (seed >= 0) return seed + 0; // −0 is 0
  if (temperature === 0) return 0;
  const [low, high] = crypto.getRandomValues(new Uint32Array(2)) as unknown as [number, number];
  return (high % 2 ** 21) * TWO_32 + low;
}

function readLogprobs({ logprobs }: GenerateOptions): number | null {
  if (logprobs === undefined || logprobs === false) return null;
  if (logprobs === true) return 0;
  requireArgument(
    Number.isInteger(logprobs) && logprobs >= 0 && logprobs <= MAX_TOP,
    `logprobs must be a boolean, or how many of the most probable tokens to report: an integer from 0 to ${MAX_TOP}; found ${show(logprobs)}`,
  );
  return logprobs;
}

function readBias(bias: GenerateOptions['logitBias'], vocabSize: number): SampleParams['bias'] {
  if (bias === undefined) return null;
  requireArgument(
    typeof bias === 'object' && bias !== null && !Array.isArray(bias),
    `logitBias must be an object or a Map from token ids to numbers, found ${show(bias)}`,
  );
  const entries: [unknown, unknown][] =
    bias instanceof Map ? [...bias] : Object.entries(bias).map(([key, value]) => [numeric(key), value]);
  requireArgument(
    entries.length <= MAX_BIAS,
    `logitBias holds at most ${MAX_BIAS} ids, found ${entries.length}`,
  );
  for (const [id, value] of entries) {
    requireId(id, vocabSize, 'logitBias');
    requireArgument(
      typeof value === 'number' &&
        value < Number.POSITIVE_INFINITY &&
        Math.fround(value) < Number.POSITIVE_INFINITY,
      `logitBias of token ${id} must be a number (-Infinity bans the token), found ${show(value)}`,
    );
  }
  const banned = entries.filter(([, value]) => Math.fround(value as number) === Number.NEGATIVE_INFINITY);
  requireArgument(banned.length < vocabSize, 'logitBias bans every token');
  if (entries.length === 0) return null;
  const sorted = (entries as [number, number][]).sort(([a], [b]) => a - b);
  return {
    ids: Int32Array.from(sorted, ([id]) => id),
    values: Float32Array.from(sorted, ([, value]) => value),
  };
}

/** A key of an object, as the number that it was. */
function numeric(key: string): number | string {
  return /^\d+$/.test(key) ? Number(key) : key;
}

function readStop(stop: GenerateOptions['stop']): readonly string[] {
  if (stop === undefined) return [];
  const list: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  requireArgument(list.length <= MAX_STOPS, `stop holds at most ${MAX_STOPS} strings, found ${list.length}`);
  for (const text of list)
    requireArgument(
      typeof text === 'string' && text !== '' && text.length <= MAX_STOP_LENGTH,
      `stop must be a non-empty string of at most ${MAX_STOP_LENGTH} characters, or a list of such; found ${show(text)}`,
    );
  return list as readonly string[];
}

function readStopTokens(ids: GenerateOptions['stopTokens'], vocabSize: number): ReadonlySet<number> {
  if (ids === undefined) return new Set();
  requireArgument(Array.isArray(ids), `stopTokens must be a list of token ids, found ${show(ids)}`);
  for (const id of ids) requireId(id, vocabSize, 'stopTokens');
  return new Set(ids);
}

export function readFlag<T extends object>(options: T, name: keyof T & string, absent: boolean): boolean {
  const value: unknown = options[name];
  if (value === undefined) return absent;
  requireArgument(typeof value === 'boolean', `${name} must be true or false, found ${show(value)}`);
  return value;
}

/** How a text is to be encoded by itself. @throws INVALID_ARGUMENT */
export function readEncodeOptions(options: EncodeOptions): EncodeOptions {
  return {
    addSpecialTokens: readFlag(options, 'addSpecialTokens', false),
    parseSpecial: readFlag(options, 'parseSpecial', true),
    continues: readFlag(options, 'continues', false),
  };
}

/** @throws INVALID_ARGUMENT unless `id` is one of the model's */
export function requireId(id: unknown, vocabSize: number, where: string): asserts id is number {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize) return;
  throw new EdgeError(
    'INVALID_ARGUMENT',
    `${where}: token ids are integers from 0 to ${vocabSize - 1}, found ${show(id)}`,
  );
}
