import type { EngineOptions, GenerateOptions } from '../engine/types.ts';
import type { DownloadOptions } from '../io/types.ts';
import { SAMPLING_HELP, SAMPLING_ROWS, type SamplingName } from '../ops/sampling_options.ts';
import { type ParseArgsConfig, parseArgs } from '../runtime/terminal.node.ts';

/** A command line that makes no sense: exit code 2. */
export class UsageError extends Error {}

type Kind = 'number' | 'bytes' | 'text' | 'texts' | 'flag';
interface Option {
  kind: Kind;
  value?: string; // what stands for it in the help
  help: string;
}

const LOADING = {
  model: {
    kind: 'text',
    value: 'MODEL',
    help: "'tiny' (the default), a folder, file or URL, or hf:ORG/NAME",
  },
  backend: { kind: 'text', value: 'NAME', help: 'auto, webgpu or wasm' },
  threads: { kind: 'number', value: 'N', help: 'CPU threads' },
  numerics: { kind: 'text', value: 'MODE', help: 'exact, i16 or i8 activations on CPUs' },
  quantize: { kind: 'text', value: 'HOW', help: 'q4, q8 or none, for checkpoints of floats' },
  'memory-budget': {
    kind: 'bytes',
    value: 'BYTES',
    help: 'refuse to take more; 1GB is 1000^3 bytes, 1GiB or 1G is 1024^3',
  },
  'max-context': { kind: 'number', value: 'N', help: 'where attention is unbounded' },
  offline: { kind: 'flag', help: 'fetch nothing: only what the cache holds' },
} as const satisfies Record<string, Option>;

type Kebab<S extends string> = S extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `-${Lowercase<First>}`}${Kebab<Rest>}`
  : S;

/** topK as top-k. */
function kebab<S extends string>(name: S): Kebab<S> {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`) as Kebab<S>;
}

function samplingOptions(): Record<Kebab<SamplingName>, Option> {
  const entries = SAMPLING_ROWS.map(([name]) => [kebab(name), { kind: 'number', ...SAMPLING_HELP[name] }]);
  return Object.fromEntries(entries) as Record<Kebab<SamplingName>, Option>;
}

const SAMPLING = {
  'max-tokens': { kind: 'number', value: 'N', help: 'stop after so many (256)' },
  ...samplingOptions(),
  seed: { kind: 'number', value: 'N', help: 'the same seed gives the same text' },
  stop: { kind: 'texts', value: 'TEXT', help: 'stop before this text; may be given again' },
  'ignore-eos': { kind: 'flag', help: "don't stop at the end of a text" },
} as const satisfies Record<string, Option>;

const ALWAYS = {
  json: { kind: 'flag', help: 'print JSON' },
  help: { kind: 'flag', help: 'print this' },
  version: { kind: 'flag', help: 'print the version' },
} as const satisfies Record<string, Option>;

const OWN = {
  ids: { kind: 'text', value: '1,2,3', help: 'token ids' },
  text: { kind: 'text', value: 'TEXT', help: 'a text instead of ids or a file' },
  'text-file': { kind: 'text', value: 'FILE', help: 'a text; - is standard input' },
  'prompt-file': {
    kind: 'text',
    value: 'FILE',
    help: 'a prompt, without its last newline; - is standard input',
  },
  system: { kind: 'text', value: 'TEXT', help: 'a first message, of the system' },
  raw: { kind: 'flag', help: 'lines follow each other as text, also where the model has a chat template' },
  tasks: { kind: 'text', value: 'A,B', help: 'all, or names of tasks' },
  data: { kind: 'text', value: 'DIR', help: 'the folder of the task files, JSON lines, also gzipped' },
  limit: { kind: 'number', value: 'N', help: 'only the first N examples of a task' },
  batch: { kind: 'number', value: 'N', help: 'examples at a time (8)' },
  window: { kind: 'number', value: 'N', help: 'tokens of context at most (1024)' },
  stride: { kind: 'number', value: 'N', help: 'tokens scored in a window (the whole window)' },
  dtype: { kind: 'text', value: 'TYPE', help: 'f32 (the default) or f16' },
  last: { kind: 'number', value: 'N', help: 'only the last N positions' },
  out: { kind: 'text', value: 'FILE', help: 'the file to write' },
  group: { kind: 'number', value: 'N', help: 'columns that share a scale: 32 (the default), 64 or 128' },
  'prompt-tokens': { kind: 'number', value: 'N', help: 'length of the prompt (512)' },
  tokens: { kind: 'number', value: 'N', help: 'tokens to decode (128)' },
  repeat: { kind: 'number', value: 'N', help: 'runs, of which the median counts (3)' },
} as const satisfies Record<string, Option>;

const ALL = { ...LOADING, ...SAMPLING, ...OWN, ...ALWAYS };
export type OptionName = keyof typeof ALL;
export const LOADING_OPTIONS = Object.keys(LOADING) as OptionName[];
export const SAMPLING_OPTIONS = Object.keys(SAMPLING) as OptionName[];

/** The options of one command, as they were given. */
export class Options {
  readonly #values: Record<string, unknown>;
  readonly positionals: string[];

  /** @throws UsageError for options that the command doesn't have */
  constructor(args: string[], names: readonly OptionName[]) {
    const options: NonNullable<ParseArgsConfig['options']> = {};
    for (const name of [...names, 'json', 'help', 'version'] as OptionName[]) {
      const { kind } = ALL[name];
      options[name] = { type: kind === 'flag' ? 'boolean' : 'string', multiple: kind === 'texts' };
    }
    options.help = { type: 'boolean', short: 'h' };
    options.version = { type: 'boolean', short: 'v' };
    try {
      const parsed = parseArgs({ args: joinNegatives(args), options, allowPositionals: true });
      this.#values = parsed.values;
      this.positionals = parsed.positionals;
    } catch (error) {
      throw new UsageError((error as Error).message.split('. To specify')[0]!);
    }
  }

  /** Is any of these given? */
  has(...names: OptionName[]): boolean {
    return names.some((name) => this.#values[name] !== undefined);
  }

  text(name: OptionName): string | undefined {
    return this.#values[name] as string | undefined;
  }

  texts(name: OptionName): string[] | undefined {
    return this.#values[name] as string[] | undefined;
  }

  flag(name: OptionName): boolean {
    return this.#values[name] === true;
  }

  number(name: OptionName): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value))
      throw new UsageError(`--${name} takes a number, found '${text}'`);
    return value;
  }

  /** A number of bytes, also with a unit: KB, MB … are powers of 1000; K, KiB, M, MiB … of 1024. */
  bytes(name: OptionName): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const [, digits, unit, binary, byte] =
      /^(\d+(?:\.\d+)?(?:e\d+)?) ?(?:([kmgt])(i?)(b?)|b)?$/i.exec(text.trim()) ?? [];
    if (digits === undefined)
      throw new UsageError(
        `--${name} takes a number of bytes, such as 500000000, 500MB or 500MiB; found '${text}'`,
      );
    const power = unit === undefined ? 0 : 'kmgt'.indexOf(unit.toLowerCase()) + 1;
    return Math.floor(Number(digits) * (byte && !binary ? 1000 : 1024) ** power);
  }

  /** Whole numbers separated by commas. */
  ids(name: OptionName): number[] | undefined {
    return this.text(name)
      ?.split(',')
      .map((part) => {
        if (!/^\s*\d+\s*$/.test(part))
          throw new UsageError(`--${name} takes token ids separated by commas, found '${part}'`);
        return Number(part);
      });
  }

  loading(): EngineOptions & { download?: DownloadOptions } {
    return given({ ...this.engine(), download: this.flag('offline') ? { offline: true } : undefined });
  }

  engine(): EngineOptions {
    return given({
      backend: this.text('backend') as EngineOptions['backend'],
      threads: this.number('threads'),
      numerics: this.text('numerics') as EngineOptions['numerics'],
      quantize: this.text('quantize') as EngineOptions['quantize'],
      memoryBudget: this.bytes('memory-budget'),
      maxContext: this.number('max-context'),
    });
  }

  sampling(): GenerateOptions {
    return given({
      maxTokens: this.number('max-tokens'),
      ...Object.fromEntries(SAMPLING_ROWS.map(([name]) => [name, this.number(kebab(name))])),
      seed: this.number('seed'),
      stop: this.texts('stop'),
      ignoreEos: this.flag('ignore-eos') || undefined,
    });
  }
}

/** `--temperature -1` is a value, which the engine refuses by name; parseArgs would take it for an option. */
function joinNegatives(args: string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const before = joined.at(-1);
    if (/^-\d/.test(arg) && before !== undefined && /^--[a-z-]+$/.test(before))
      joined.push(`${joined.pop()}=${arg}`);
    else joined.push(arg);
  }
  return joined;
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Leaves out what was not given. */
function given<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** Options as the help prints them; `about` says what one means to this command. */
export function optionHelp(
  names: readonly OptionName[],
  about: Partial<Record<OptionName, string>> = {},
): string {
  const rows = names.map((name) => {
    const option: Option = ALL[name];
    return [`  --${name}${option.value ? ` ${option.value}` : ''}`, about[name] ?? option.help] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => `${left.padEnd(width)}${right}\n`).join('');
}
