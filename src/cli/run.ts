import { print, printError } from '../runtime/terminal.node.ts';
import { type Command, MODEL_OPTIONS, withModel } from './command.ts';
import { SAMPLING_OPTIONS } from './options.ts';
import { figures, speeds } from './report.ts';

const DEFAULT_PROMPT = 'Once upon a time, there was a little girl named Lily.';

export const run: Command = {
  name: 'run',
  usage: '[run] [PROMPT] [options]',
  help: 'continues a prompt on standard output (the default command)',
  options: [...MODEL_OPTIONS, ...SAMPLING_OPTIONS],
  run: async (options) => {
    const prompt = options.positionals.length > 0 ? options.positionals.join(' ') : DEFAULT_PROMPT;
    const json = options.flag('json');
    await withModel(
      options.text('model') ?? 'tiny',
      options,
      async (model) => {
        const generation = model.generate(prompt, options.sampling());
        if (!json) {
          await print(prompt);
          for await (const { text } of generation) await print(text);
          await print('\n');
        }
        const { text, tokens, finishReason, stop, seed, usage } = await generation.result();
        const { info } = model;
        if (json) {
          const ids = tokens.map(({ id }) => id);
          const result = { prompt, text, ids, finishReason, stop, seed, usage, speeds: speeds(usage), info };
          await print(`${JSON.stringify(result)}\n`);
        }
        printError(`${figures(info, usage)}\n`);
      },
      { maxSessions: 1 },
    );
  },
};
