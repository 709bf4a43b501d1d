import { child } from './children.mjs';
import { MODELS } from './make_gguf.mjs';
import { modelFile } from './models.mjs';
import { promptTable, table } from './report.mjs';

const CHUNK = 512;

/** Models of `names` on this machine's GPU: prints tables, returns what was measured. */
export async function measureGpu(names, { node, tokens, long, quick, quant, numerics, prompts, rounds }) {
  const models = Object.fromEntries(
    (quick ? ['tiny'] : names).map((name) => {
      const { d, layers } = name === 'tiny' ? { d: 64, layers: 1 } : MODELS[name];
      return [name, { dModel: d, nLayer: layers }];
    }),
  );
  const args = {
    models,
    chunk: quick ? 16 : CHUNK,
    prefill: quick ? 32 : 4 * CHUNK,
    lengths: prompts.split(',').map(Number),
    decode: Math.max(32, Number(tokens)),
    sessions: quick ? 2 : 32,
    long: long ? 100_000 : 0,
  };
  const results = await child('webgpu', args, node);
  for (const result of results) {
    console.log(`\n${result.model}, q4, ${result.device}, ${result.variant}`);
    const rate = (value) => (value === undefined ? '' : Math.round(value));
    console.log(
      table([
        {
          'decode tok/s': rate(result.decode),
          'GPU ms a token': (result.stepUs / 1000).toFixed(2),
          'one by one': rate(result.oneByOne),
          [`${args.sessions} sessions`]: rate(result.sessions),
          [`prefill ${args.prefill}`]: rate(result.prefill),
          'fork ms': result.forkMs?.toFixed(2) ?? '',
          ...(result.afterLong !== undefined && { 'after 100,000': rate(result.afterLong) }),
        },
      ]),
    );
    console.log(table(result.kernels.map(({ GBps, ...kernel }) => ({ ...kernel, 'GB/s': GBps ?? '' }))));
    const file = modelFile(result.model, quant);
    const { lengths } = args;
    result.calls = await child(
      'prompts',
      { file, backend: 'webgpu', numerics, lengths, rounds: Number(rounds) },
      node,
    );
    console.log(promptTable(result.prompts, result.calls));
  }
  return results;
}
