import { describe } from '../api/load.ts';
import { print } from '../runtime/terminal.node.ts';
import { formatName } from '../weights/format.ts';
import { type Command, MODEL_OPTIONS, modelArgument } from './command.ts';
import { bytes, count, generationDefaults } from './report.ts';

export const info: Command = {
  name: 'info',
  usage: 'info [MODEL] [options]',
  help: 'what a model is and the memory it will take; loads nothing',
  options: MODEL_OPTIONS,
  run: async (options) => {
    const model = await describe(modelArgument(options), options.loading());
    if (options.flag('json')) return print(`${JSON.stringify(model)}\n`);
    const context = Number.isFinite(model.maxContext) ? `${model.maxContext} tokens` : 'unbounded';
    const rows: [string, string][] = [
      ['model', model.name],
      ['architecture', `${model.architecture}, ${model.nLayer} layers of width ${model.dModel}`],
      ['parameters', count(model.parameters)],
      ['vocabulary', `${model.vocabSize}${model.hasTokenizer ? '' : ', no tokenizer: takes ids only'}`],
      ['context', context],
      ['generates', generationDefaults(model.generationDefaults)],
      ['backend', model.why === '' ? model.backend : `${model.backend} (${model.why})`],
      ['numerics', model.numerics],
      ['weights', `${bytes(model.weightBytes)}, ${formatName(model.weights)}`],
      ['state', `${bytes(model.slotBytes)} a session, whatever it has read`],
      ['sessions', `${model.maxSessions} at a time; with a spare state ${bytes(model.stateBytes)}`],
      ['scratch', bytes(model.scratchBytes)],
      ['host', `at most ${bytes(model.hostBytes)} for rewinding, the prefix cache and spilled sessions`],
      ['total', `${bytes(model.totalBytes)}, whatever the number of tokens`],
    ];
    await print(rows.map(([name, value]) => `${name.padEnd(14)}${value}\n`).join(''));
  },
};
