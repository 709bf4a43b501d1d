import { print } from '../runtime/terminal.node.ts';
import { type Command, MODEL_OPTIONS, modelArgument, withModel } from './command.ts';
import { promptOption } from './text.ts';

export const score: Command = {
  name: 'score',
  usage: 'score [MODEL] --text-file FILE [options]',
  help: 'perplexity and log-probabilities of a text',
  options: [...MODEL_OPTIONS, 'text-file', 'text', 'ids'],
  run: async (options) => {
    const source = modelArgument(options);
    const prompt = await promptOption(options);
    await withModel(source, options, async (model) => {
      const { ids, logprobs, total, perplexity } = await model.score(prompt);
      const result = { tokens: ids.length, total, perplexity };
      if (options.flag('json')) {
        // A first token that nothing precedes has no probability: null.
        const each = Array.from(logprobs, (logprob) => (Number.isNaN(logprob) ? null : logprob));
        return print(`${JSON.stringify({ ...result, ids: [...ids], logprobs: each })}\n`);
      }
      await print(
        `${ids.length} tokens, log-probability ${total.toFixed(4)}, perplexity ${perplexity.toFixed(4)}\n`,
      );
    });
  },
};
