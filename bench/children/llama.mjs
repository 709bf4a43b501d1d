// node-llama-cpp, native, on the CPU, with the same file; run in the folder where it is installed.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { file, threads, prompt, tokens } = JSON.parse(process.argv[2]);
const require = createRequire(`${process.cwd()}/`);
const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')).href);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  maxThreads: 0,
  logLevel: 'error',
});
const begin = performance.now();
const model = await llama.loadModel({ modelPath: file });
const size = Number(prompt) + Number(tokens) + 64;
const context = await model.createContext({ contextSize: size, threads: Number(threads), batchSize: 512 });
const loadMs = performance.now() - begin;
const sequence = context.getSequence();
const ids = Array.from({ length: Number(prompt) }, (_, i) => (i * 7919 + 1) % 50_000);
const runs = [];
for (let i = 0; i < 3; i++) {
  await sequence.clearHistory();
  const start = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(ids);
  const prefill = (1000 * ids.length) / (performance.now() - start);
  let count = 0;
  let first = 0;
  for await (const _ of sequence.evaluate([5], { temperature: 0 })) {
    if (count === 0) first = performance.now();
    if (++count > Number(tokens)) break;
  }
  runs.push({ prefill, decode: (1000 * (count - 1)) / (performance.now() - first) });
}
const middle = (of) => runs.map(of).sort((a, b) => a - b)[1];
console.log(
  JSON.stringify({
    loadMs,
    prefill: middle((run) => run.prefill),
    decode: middle((run) => run.decode),
    peakBytes: process.resourceUsage().maxRSS * 1024,
  }),
);
await llama.dispose();
