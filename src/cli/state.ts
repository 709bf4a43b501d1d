import { print } from '../runtime/terminal.node.ts';
import { requirePlace, writeFileAtomic } from '../runtime/write_file.node.ts';
import { type Command, MODEL_OPTIONS, modelArgument, withModel } from './command.ts';
import { UsageError } from './options.ts';
import { bytes } from './report.ts';
import { promptOption } from './text.ts';

export const state: Command = {
  name: 'state',
  usage: 'state build [MODEL] --prompt-file FILE --out FILE [options]',
  help: 'runs a prompt once and saves the state, for model.session({ from })',
  options: [...MODEL_OPTIONS, 'prompt-file', 'text', 'ids', 'dtype', 'out'],
  about: { out: 'the file to write the state to' },
  run: async (options) => {
    const [action, ...rest] = options.positionals;
    if (action !== 'build')
      throw new UsageError(`state knows one action, build; found '${options.positionals.join(' ')}'`);
    const source = modelArgument(options, rest);
    const out = options.text('out');
    if (out === undefined) throw new UsageError('state build takes --out FILE');
    const dtype = options.text('dtype') ?? 'f32';
    if (dtype !== 'f32' && dtype !== 'f16')
      throw new UsageError(`--dtype takes f32 or f16, found '${dtype}'`);
    const prompt = await promptOption(options, { file: 'prompt-file' });
    await requirePlace(out);
    await withModel(
      source,
      options,
      async (model) => {
        const session = await model.session();
        const position = await session.append(prompt);
        const saved = await session.save({ dtype });
        await writeFileAtomic(out, [saved]);
        const result = { out, tokens: position + 1, bytes: saved.length, dtype };
        await print(
          options.flag('json')
            ? `${JSON.stringify(result)}\n`
            : `${out}: the state after ${position + 1} tokens, ${bytes(saved.length)}\n`,
        );
      },
      { maxSessions: 1 },
    );
  },
};
