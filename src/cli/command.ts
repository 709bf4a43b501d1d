import { type LoadOptions, load } from '../../workers/load.ts';
import type { Model } from '../../workers/model.ts';
import { enableRelaxedSimd } from '../runtime/terminal.node.ts';
import { LOADING_OPTIONS, type OptionName, type Options, UsageError } from './options.ts';
import { progressBar } from './report.ts';

/** One subcommand. */
export interface Command {
  name: string;
  usage: string; // after the program's name
  help: string;
  options: readonly OptionName[];
  run(options: Options): Promise<void>;
}

export const MODEL_OPTIONS: readonly OptionName[] = LOADING_OPTIONS;

/** Loads the model that the options ask for. */
export function loadModel(source: string, options: Options, more: LoadOptions = {}): Promise<Model> {
  const loading = options.loading();
  // Only integer dot products gain from it, and it costs time to compile.
  if (loading.numerics !== 'exact') enableRelaxedSimd();
  return load(source, { ...loading, ...more });
}

/** The same with a progress bar; disposes the model at the end. */
export async function withModel(
  source: string,
  options: Options,
  run: (model: Model) => Promise<void>,
  more: LoadOptions = {},
): Promise<void> {
  const bar = progressBar();
  let model: Model;
  try {
    model = await loadModel(source, options, { ...more, onProgress: bar.show });
  } finally {
    bar.clear();
  }
  try {
    await run(model);
  } finally {
    await model.dispose();
  }
}

/** The model of a command that takes it as its one argument; --model does as well. */
export function modelArgument(options: Options): string {
  const [source = options.text('model') ?? 'tiny', ...rest] = options.positionals;
  if (rest.length > 0)
    throw new UsageError(`Expected one model, found ${options.positionals.length} arguments`);
  return source;
}
