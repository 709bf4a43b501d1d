import { load } from '../api/load.ts';
import type { Model } from '../api/model.ts';
import type { LoadOptions } from '../api/types/index.ts';
import { embeddedFileSet, openFileSet } from '../io/fileset.ts';
import type { FileSet } from '../io/types.ts';
import { embeddedModel, statPath } from '../runtime/node.ts';
import { enableRelaxedSimd, printError } from '../runtime/terminal.node.ts';
import { LOADING_OPTIONS, type OptionName, type Options, UsageError } from './options.ts';
import { progressBar } from './report.ts';

/** One subcommand. */
export interface Command {
  name: string;
  usage: string; // after the program's name
  help: string;
  options: readonly OptionName[];
  about?: Partial<Record<OptionName, string>>; // what an option means here, if more than everywhere
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

/** The model that --model names, or the embedded one. */
export function modelOption(options: Options): string {
  return options.text('model') ?? 'tiny';
}

/** The model of a command that takes it as its one argument, or by --model. */
export function modelArgument(
  options: Options,
  positionals: readonly string[] = options.positionals,
): string {
  const [source = modelOption(options), ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`Expected one model, found ${positionals.length} arguments`);
  const other = options.text('model');
  if (other !== undefined && other !== source)
    throw new UsageError(`Expected one model, found '${source}' and --model ${other}`);
  return source;
}

/** The words of a command line that are a prompt; warns if they name a model and there is none beside them. */
export async function promptWords(options: Options): Promise<string | undefined> {
  if (options.positionals.length === 0) return undefined;
  const words = options.positionals.join(' ');
  if (options.text('model') === undefined && (await isModel(words)))
    printError(`edge-ssm: '${words}' is taken as the prompt; as the model: --model ${words}\n`);
  return words;
}

async function isModel(words: string): Promise<boolean> {
  if (words === 'tiny' || /^(hf|https?|file):\S+$/i.test(words)) return true;
  return !/\s/.test(words) && (await statPath(words).catch(() => null)) !== null;
}

/** The files of a model, by the names that `load` takes. */
export function openModel(source: string, options: Options): Promise<FileSet> {
  if (source === 'tiny') return Promise.resolve(embeddedFileSet(embeddedModel()));
  return openFileSet(source, options.loading().download);
}
