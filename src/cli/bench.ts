import type { Model } from '../api/model.ts';
import type { ModelInfo } from '../engine/types.ts';
import { peakMemory, print } from '../runtime/terminal.node.ts';
import { type Command, loadModel, MODEL_OPTIONS, modelArgument } from './command.ts';
import { UsageError } from './options.ts';
import { bytes, speeds } from './report.ts';

interface Run {
  loadMs: number;
  prefill: number; // tok/s
  decode: number; // tok/s
}

export const bench: Command = {
  name: 'bench',
  usage: 'bench [MODEL] [options]',
  help: 'times loading, prefill and decode',
  options: [...MODEL_OPTIONS, 'prompt-tokens', 'tokens', 'repeat'],
  run: async (options) => {
    const source = modelArgument(options);
    const size = (name: 'prompt-tokens' | 'tokens' | 'repeat', absent: number, least: number) => {
      const value = options.number(name) ?? absent;
      if (Number.isInteger(value) && value >= least) return value;
      throw new UsageError(`--${name} takes an integer of at least ${least}, found ${value}`);
    };
    const [promptTokens, tokens] = [size('prompt-tokens', 512, 1), size('tokens', 128, 2)];
    const runs: Run[] = [];
    let last: ModelInfo | undefined;
    for (let i = size('repeat', 3, 1); i > 0; i--) {
      const begin = performance.now();
      const model = await loadModel(source, options, { maxSessions: 1 });
      const loadMs = performance.now() - begin;
      try {
        runs.push({ loadMs, ...(await measure(model, promptTokens, tokens)) });
        last = model.info;
      } finally {
        await model.dispose();
      }
    }
    const median = (of: (run: Run) => number) => runs.map(of).sort((a, b) => a - b)[runs.length >> 1]!;
    const info = last!;
    const result = {
      loadMs: median((run) => run.loadMs),
      prefill: median((run) => run.prefill),
      decode: median((run) => run.decode),
    };
    if (options.flag('json')) {
      const command = { source, promptTokens, tokens, ...options.loading() };
      return print(`${JSON.stringify({ ...result, peakBytes: peakMemory(), runs, command, info })}\n`);
    }
    await print(
      `${info.name}: ${info.backend} ${info.variant}, ${info.threads} ${info.threads === 1 ? 'thread' : 'threads'}, ${info.numerics} numerics, ${info.device}\n` +
        `load     ${result.loadMs.toFixed(0)} ms, weights ${bytes(info.weightBytes)}, peak ${bytes(peakMemory())}\n` +
        `prefill  ${result.prefill.toFixed(1)} tok/s (${promptTokens} tokens)\n` +
        `decode   ${result.decode.toFixed(1)} tok/s (${tokens} tokens)\n`,
    );
  },
};

/** After a short warm-up; greedy, from ids spread over the vocabulary. */
async function measure(model: Model, promptTokens: number, tokens: number) {
  const { vocabSize } = model.info;
  const ids = Int32Array.from({ length: promptTokens }, (_, i) => (i * 7919 + 1) % vocabSize);
  const greedy = { temperature: 0, repetitionPenalty: 1, ignoreEos: true }; // whatever the model's defaults are
  await model.generate(ids.slice(0, 64), { ...greedy, maxTokens: 8 }).result();
  const { usage } = await model.generate(ids, { ...greedy, maxTokens: tokens }).result();
  const { prefill, decode } = speeds(usage);
  return { prefill: prefill!, decode: decode! };
}
