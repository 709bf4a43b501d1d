// Ids of texts, by node-llama-cpp in the working directory:
//   node llama_tokens_child.mjs '{"files": ["x.gguf"], "texts": ["a"]}'   prints [[[id, …], …], …], by file and text
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { files, texts } = JSON.parse(process.argv[2]);
const require = createRequire(`${process.cwd()}/`);
const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')).href);
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error' });
const ids = [];
for (const modelPath of files) {
  const model = await llama.loadModel({ modelPath, vocabOnly: true });
  ids.push(texts.map((text) => [...model.tokenize(text, true)]));
  await model.dispose();
}
console.log(JSON.stringify(ids));
await llama.dispose();
