import type { Model } from '../api/model.ts';
import { EdgeError } from '../errors.ts';
import { errorIsTerminal, exit, onInterrupt, print, printError } from '../runtime/terminal.node.ts';
import { requirePlace } from '../runtime/write_file.node.ts';
import { type Command, MODEL_OPTIONS, modelArgument, withModel } from './command.ts';
import { readTask } from './eval_files.ts';
import { type Accuracy, Journal, runTask } from './eval_run.ts';
import { TASKS, type Task } from './eval_tasks.ts';
import { bitsPerByte } from './eval_text.ts';
import { type OptionName, type Options, UsageError } from './options.ts';
import { promptOption } from './text.ts';

export const evaluate: Command = {
  name: 'eval',
  usage: 'eval [MODEL] --tasks all --data DIR | --text-file FILE [options]',
  help: 'accuracy on multiple-choice tasks, or bits per byte of a text',
  options: [
    ...MODEL_OPTIONS,
    'tasks',
    'data',
    'limit',
    'batch',
    'out',
    'text-file',
    'text',
    'window',
    'stride',
  ],
  about: { out: 'results so far: the same command goes on from there' },
  run: async (options) => {
    const source = modelArgument(options);
    if (options.text('tasks') === undefined) return evaluateText(source, options);
    const tasks = chosen(options.text('tasks')!);
    const folder = options.text('data');
    if (folder === undefined) throw new UsageError('eval --tasks takes --data DIR');
    const batch = whole(options, 'batch', 8);
    const out = options.text('out');
    if (out !== undefined) await requirePlace(out);
    const limit = whole(options, 'limit', Number.POSITIVE_INFINITY);
    await withModel(
      source,
      options,
      (model) => evaluateTasks(model, options, { tasks, folder, batch, limit }),
      { maxSessions: 2 * batch }, // an example forks its context for each choice
    );
  },
};

interface Plan {
  tasks: readonly Task[];
  folder: string;
  batch: number;
  limit: number;
}

async function evaluateTasks(
  model: Model,
  options: Options,
  { tasks, folder, batch, limit }: Plan,
): Promise<void> {
  requireTokenizer(model);
  const examples = await Promise.all(tasks.map((task) => readTask(folder, task, limit)));
  const { fingerprint, numerics, weights } = model.info;
  const journal = await Journal.open(options.text('out') ?? null, {
    eval: 1,
    fingerprint,
    numerics,
    weights,
  });
  const controller = new AbortController();
  const stopListening = onInterrupt(() => (controller.signal.aborted ? exit(130) : controller.abort()));
  const results: Accuracy[] = [];
  try {
    for (const [i, { name, title }] of tasks.entries()) {
      const total = examples[i]!.length;
      const onProgress = (done: number) => {
        if (errorIsTerminal()) printError(`\r\x1b[K${title} ${done} of ${total}`);
      };
      results.push(
        await runTask(model, name, examples[i]!, journal, { batch, onProgress, signal: controller.signal }),
      );
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    const kept =
      options.text('out') === undefined ? 'give --out to keep what is done' : 'run the same again to go on';
    throw new EdgeError('ABORTED', `Stopped by Ctrl-C: ${kept}`);
  } finally {
    stopListening();
    await journal.close();
    if (errorIsTerminal()) printError('\r\x1b[K');
  }
  await print(
    options.flag('json') ? `${JSON.stringify({ results, info: model.info })}\n` : table(tasks, results),
  );
}

/** One line a task, as Rene's model card shows them. */
function table(tasks: readonly Task[], results: readonly Accuracy[]): string {
  const percent = (value: number) => (100 * value).toFixed(1).padStart(7);
  const rows = results.map(({ task, examples, acc, accNorm, standardError }) => {
    const { title, metric } = tasks.find(({ name }) => name === task)!;
    const shown = metric === 'acc' ? acc : accNorm;
    return `${title.padEnd(14)}${metric.padEnd(9)}${percent(shown)}  ±${percent(standardError).trim().padStart(4)}  acc ${percent(acc).trim()}, acc_norm ${percent(accNorm).trim()}, ${examples} examples\n`;
  });
  return rows.join('');
}

async function evaluateText(source: string, options: Options): Promise<void> {
  const text = (await promptOption(options, {
    missing: 'eval takes --tasks with --data, or --text-file',
  })) as string;
  const window = whole(options, 'window', 1024);
  const stride = whole(options, 'stride', window);
  if (stride > window) throw new UsageError(`--stride must be at most --window, ${window}; found ${stride}`);
  await withModel(
    source,
    options,
    async (model) => {
      requireTokenizer(model);
      const result = await bitsPerByte(model, text, { window, stride });
      await print(
        options.flag('json')
          ? `${JSON.stringify({ ...result, window, stride })}\n`
          : `${result.tokens} tokens, ${result.bytes} bytes: ${result.bitsPerByte.toFixed(4)} bits per byte, perplexity ${result.perplexity.toFixed(4)} a token\n`,
      );
    },
    { maxSessions: 8 },
  );
}

function chosen(names: string): readonly Task[] {
  if (names === 'all') return TASKS;
  return names.split(',').map((name) => {
    const task = TASKS.find((known) => known.name === name.trim());
    if (task) return task;
    throw new UsageError(
      `--tasks takes all, or some of ${TASKS.map(({ name }) => name).join(', ')}; found '${name}'`,
    );
  });
}

function whole(options: Options, name: OptionName, absent: number): number {
  const value = options.number(name) ?? absent;
  if (value === absent || (Number.isInteger(value) && value >= 1)) return value;
  throw new UsageError(`--${name} takes an integer of at least 1, found ${value}`);
}

function requireTokenizer({ info }: Model): void {
  if (!info.hasTokenizer)
    throw new EdgeError(
      'NO_TOKENIZER',
      `${info.name} came without a tokenizer.json: texts can't be evaluated`,
    );
}
