// The relative error between our logits and node-llama-cpp's, after five tokens of the same file.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { load } from '../../dist/node/index.js';

const { file } = JSON.parse(process.argv[2]);
const ids = [5, 100, 42, 7, 200];
const model = await load(file, { numerics: 'exact', maxSessions: 1 });
const ours = await model.logits(ids, { last: 1 });
await model.dispose();

const require = createRequire(`${process.cwd()}/`);
const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')).href);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  maxThreads: 0,
  logLevel: 'error',
});
const other = await llama.loadModel({ modelPath: file });
const context = await other.createContext({ contextSize: 64 });
const input = ids.map((id, i) =>
  i === ids.length - 1 ? [id, { generateNext: { probabilities: true } }] : id,
);
const output = await context.getSequence().controlledEvaluate(input);
const { probabilities } = output.at(-1).next;
let [difference, sum] = [0, 0];
// Probabilities: both sides relative to their largest value, over the most probable 1,000.
const top = [...probabilities].slice(0, 1000);
const highest = Math.max(...top.map(([id]) => ours[id]));
const [, best] = top[0];
for (const [id, probability] of top) {
  const theirs = Math.log(probability / best);
  difference += (ours[id] - highest - theirs) ** 2;
  sum += theirs ** 2;
}
console.log(JSON.stringify({ error: Math.sqrt(difference / sum) }));
await llama.dispose();
