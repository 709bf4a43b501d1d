import type { Generation } from '../api/generation.ts';
import type { Model } from '../api/model.ts';
import { print, printError } from '../runtime/terminal.node.ts';
import { type Command, MODEL_OPTIONS, modelOption, promptWords, withModel } from './command.ts';
import { type Options, SAMPLING_OPTIONS, UsageError } from './options.ts';
import { figures, speeds } from './report.ts';
import { OPENING, tellStory } from './story.ts';
import { pipedInput, readPrompt, STANDARD_INPUT } from './text.ts';

export const run: Command = {
  name: 'run',
  usage: '[run] [PROMPT] [options]',
  help: 'continues a prompt (the default command); without one, tells a story that ends in two ways',
  options: [...MODEL_OPTIONS, ...SAMPLING_OPTIONS, 'prompt-file', 'ids'],
  run: async (options) => {
    const given = await givenPrompt(options);
    if (given === undefined && !options.has('model', 'json', ...SAMPLING_OPTIONS))
      return withModel('tiny', options, tellStory, { maxSessions: 2 });
    const prompt = given ?? OPENING;
    await withModel(
      modelOption(options),
      options,
      async (model) => {
        const generation = model.generate(prompt, options.sampling());
        if (options.flag('json')) await printJson(model, prompt, generation);
        else await stream(model, typeof prompt === 'string' ? prompt : '', generation);
        printError(`${figures(model.info, (await generation.result()).usage)}\n`);
      },
      { maxSessions: 1 },
    );
  },
};

/** Words of the command line, ids, a file, or what is piped in. */
async function givenPrompt(options: Options): Promise<string | number[] | undefined> {
  const ids = options.ids('ids');
  const words = await promptWords(options);
  const file = words === STANDARD_INPUT ? words : options.text('prompt-file');
  const text = words === STANDARD_INPUT ? undefined : words;
  if ([ids, text, file].filter((given) => given !== undefined).length > 1)
    throw new UsageError('Give only one of a prompt, --prompt-file and --ids');
  return ids ?? text ?? (file === undefined ? pipedInput(readPrompt) : readPrompt(file));
}

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
