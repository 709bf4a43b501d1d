import type { Generation } from '../../workers/generation.ts';
import type { Model } from '../../workers/model.ts';
import { print, printError } from '../runtime/terminal.node.ts';
import { type Command, MODEL_OPTIONS, withModel } from './command.ts';
import { SAMPLING_OPTIONS, UsageError } from './options.ts';
import { figures, speeds } from './report.ts';

const DEFAULT_PROMPT = 'Once upon a time, there was a little girl named Lily.';

export const run: Command = {
  name: 'run',
  usage: '[run] [PROMPT] [options]',
  help: 'continues a prompt on standard output (the default command)',
  options: [...MODEL_OPTIONS, ...SAMPLING_OPTIONS, 'ids'],
  run: async (options) => {
    const ids = options.ids('ids');
    if (ids && options.positionals.length > 0) throw new UsageError('Give a prompt or --ids, not both');
    const text = options.positionals.length > 0 ? options.positionals.join(' ') : DEFAULT_PROMPT;
    await withModel(
      options.text('model') ?? 'tiny',
      options,
      async (model) => {
        const generation = model.generate(ids ?? text, options.sampling());
        if (options.flag('json')) await printJson(model, ids ?? text, generation);
        else await stream(model, ids ? '' : text, generation);
        printError(`${figures(model.info, (await generation.result()).usage)}\n`);
      },
      { maxSessions: 1 },
    );
  },
};

/** The prompt with its continuation; ids of a model without a tokenizer. */
async function stream(model: Model, prompt: string, generation: Generation): Promise<void> {
  let before = prompt;
  for await (const { id, text } of generation) {
    await print(before + (model.info.hasTokenizer ? text : `${id} `));
    before = '';
  }
  await print('\n');
}

async function printJson({ info }: Model, prompt: string | number[], generation: Generation): Promise<void> {
  const { text, tokens, finishReason, stop, seed, usage } = await generation.result();
  const ids = tokens.map(({ id }) => id);
  const result = { prompt, text, ids, finishReason, stop, seed, usage, speeds: speeds(usage), info };
  await print(`${JSON.stringify(result)}\n`);
}
