import type { Backend } from '../../backends/types.ts';
import { requireArgument, show } from '../../errors.ts';
import type { LoadEngineOptions } from '../types.ts';

/** `LoadEngineOptions`, checked, with the defaults that depend on nothing else filled in. */
export type LoadSettings = Required<Omit<LoadEngineOptions, 'quantize' | 'memoryBudget' | 'chunk'>> &
  Pick<LoadEngineOptions, 'quantize' | 'memoryBudget' | 'chunk'>;

const BACKENDS = ['auto', 'metal', 'webgpu', 'wasm'] as const;

/** Of backends, those of `others` may be named, too. @throws INVALID_ARGUMENT, naming the option and what it takes */
export function readLoadOptions(
  options: LoadEngineOptions,
  others: readonly Pick<Backend, 'name'>[] = [],
): LoadSettings {
  requireArgument(
    typeof options === 'object' && options !== null,
    `Load options must be an object, found ${show(options)}`,
  );
  const { quantize, memoryBudget, chunk } = options;
  const settings: LoadSettings = {
    backend: choice('backend', options.backend ?? 'auto', [
      ...new Set([...BACKENDS, ...others.map(({ name }) => name)]),
    ]),
    numerics: choice('numerics', options.numerics ?? 'i8', ['exact', 'i16', 'i8']),
    threads: integer('threads', options.threads ?? 0, 0, 1024),
    maxSessions: integer('maxSessions', options.maxSessions ?? 4, 1, 65_536),
    maxContext: integer('maxContext', options.maxContext ?? 4096, 1, 2 ** 31 - 1),
    maxHistory: integer('maxHistory', options.maxHistory ?? 65_536, 0, 2 ** 28),
    checkpointEvery: integer('checkpointEvery', options.checkpointEvery ?? 512, 1, 2 ** 31 - 1),
    checkpointBytes: integer('checkpointBytes', options.checkpointBytes ?? 2 ** 26, 0, 2 ** 40),
    cacheBytes: integer('cacheBytes', options.cacheBytes ?? 0, 0, 2 ** 40),
    spill: integer('spill', options.spill ?? 0, 0, 2 ** 20),
    maxQueue: integer('maxQueue', options.maxQueue ?? 256, 0, 2 ** 20),
  };
  if (chunk !== undefined) settings.chunk = integer('chunk', chunk, 1, 65_536);
  if (quantize !== undefined) settings.quantize = choice('quantize', quantize, ['q4', 'q8', 'none']);
  if (memoryBudget !== undefined) {
    requireArgument(
      typeof memoryBudget === 'number' && memoryBudget > 0,
      `memoryBudget must be a number of bytes above 0, found ${show(memoryBudget)}`,
    );
    settings.memoryBudget = memoryBudget;
  }
  for (const name of Object.keys(options))
    requireArgument(
      name in settings || options[name as keyof LoadEngineOptions] === undefined,
      `Unknown load option '${name}'; the engine takes ${[...Object.keys(settings), 'chunk', 'quantize', 'memoryBudget'].join(', ')}`,
    );
  return settings;
}

function choice<T extends string>(name: string, value: T, choices: readonly T[]): T {
  requireArgument(
    choices.includes(value),
    `${name} must be one of ${choices.join(', ')}; found ${show(value)}`,
  );
  return value;
}

function integer(name: string, value: number, least: number, most: number): number {
  requireArgument(
    Number.isInteger(value) && value >= least && value <= most,
    `${name} must be an integer from ${least} to ${most}, found ${show(value)}`,
  );
  return value;
}
