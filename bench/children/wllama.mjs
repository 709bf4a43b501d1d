// wllama, llama.cpp in WASM, in a page of Chromium with the same file. It takes text only: in these files' vocabulary
// every ASCII character is a token.
import { basename, dirname, join } from 'node:path';
import { inPage } from '../browser.mjs';

const options = JSON.parse(process.argv[2]);
const places = {
  '/wllama/': join(options.peers, 'node_modules/@wllama/wllama/esm/'),
  '/model/': dirname(options.file),
};

async function measure({ source, threads, prompt, tokens }) {
  const { Wllama } = await import('/wllama/index.js');
  const wllama = new Wllama({ default: '/wllama/wasm/wllama.wasm' }, { suppressNativeLog: true });
  const begin = performance.now();
  const file = await (await fetch(source)).blob();
  await wllama.loadModel([file], { n_ctx: 1024, n_threads: Number(threads), n_gpu_layers: 0 });
  const loadMs = performance.now() - begin;
  const runs = [];
  for (let i = 0; i < 2; i++) {
    const text = Array.from({ length: Number(prompt) }, (_, k) =>
      String.fromCharCode(97 + ((k * 7 + i) % 26)),
    ).join('');
    const { timings } = await wllama.createCompletion({
      prompt: text,
      max_tokens: Number(tokens),
      temperature: 0,
    });
    runs.push({
      prefill: timings.prompt_per_second,
      decode: timings.predicted_per_second,
      prompt: timings.prompt_n,
    });
  }
  await wllama.exit();
  return { loadMs, ...runs.at(-1) };
}

console.log(
  JSON.stringify(await inPage(places, measure, { ...options, source: `/model/${basename(options.file)}` })),
);
