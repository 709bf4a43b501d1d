// bench/children/model.mjs in a page of Chromium.

import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inPage } from '../browser.mjs';

const options = JSON.parse(process.argv[2]);
const folder = statSync(options.file).isDirectory();
const places = {
  '/edge-ssm/': fileURLToPath(new URL('../../dist/browser/', import.meta.url)),
  '/model/': folder ? options.file : dirname(options.file),
};
const source = folder ? '/model/' : `/model/${basename(options.file)}`;

async function measure({ source, threads, numerics, prompt, tokens }) {
  const { load } = await import('/edge-ssm/index.js');
  const begin = performance.now();
  const model = await load(source, { threads: Number(threads), numerics, maxSessions: 1 });
  const loadMs = performance.now() - begin;
  if (!(await model.selfTest()).ok) throw new Error('The self-test of this device fails: nothing is timed');
  const { vocabSize } = model.info;
  const ids = Int32Array.from({ length: Number(prompt) }, (_, i) => (i * 7919 + 1) % vocabSize);
  await model.generate(ids.slice(0, 64), { maxTokens: 16, ignoreEos: true }).result(); // warm
  const first = performance.now();
  await model.generate([1], { maxTokens: 1, ignoreEos: true }).result();
  const firstTokenMs = performance.now() - first;
  const runs = [];
  for (let i = 0; i < 3; i++) {
    const { usage } = await model.generate(ids, { maxTokens: Number(tokens) + 1, ignoreEos: true }).result();
    runs.push({
      prefill: (1000 * usage.promptTokens) / usage.prefillMs,
      decode: (1000 * (usage.completionTokens - 1)) / usage.decodeMs,
    });
  }
  const middle = (of) => runs.map(of).sort((a, b) => a - b)[1];
  const { variant, threads: used } = model.info;
  await model.dispose();
  return {
    loadMs,
    firstTokenMs,
    prefill: middle((run) => run.prefill),
    decode: middle((run) => run.decode),
    variant,
    threads: used,
  };
}

console.log(JSON.stringify(await inPage(places, measure, { ...options, source })));
