// Log-probabilities after some tokens of a GGUF file, of node-llama-cpp in the working directory:
//   node llama_child.mjs '{"file": "x.gguf", "ids": [1, 2]}'   prints [[id, log p], …], the likeliest first
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { file, ids } = JSON.parse(process.argv[2]);
const require = createRequire(`${process.cwd()}/`);
const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')).href);
const options = { gpu: false, build: 'never', skipDownload: true, maxThreads: 0, logLevel: 'error' };
const llama = await getLlama(options);
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({ contextSize: 64 });
const input = ids.map((id, i) =>
  i === ids.length - 1 ? [id, { generateNext: { probabilities: true } }] : id,
);
const output = await context.getSequence().controlledEvaluate(input);
const top = [...output.at(-1).next.probabilities].slice(0, 1000);
console.log(JSON.stringify(top.map(([id, p]) => [id, Math.log(p)])));
await llama.dispose();
