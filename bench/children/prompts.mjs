// How long prompts take through the public API: what users wait for. Other children have tested the device.
import { load } from '../../dist/node/index.js';

const { file, backend, threads, numerics, lengths, rounds } = JSON.parse(process.argv[2]);
const options = { backend, threads: Number(threads ?? 0), numerics };
const model = await load(file, options);
const cached = await load(file, { ...options, cacheBytes: 2 ** 28 });
const { vocabSize } = model.info;
const ids = (length, seed = 0) =>
  Int32Array.from({ length }, (_, i) => ((i + seed * length) * 7919 + 1) % vocabSize);
const one = { maxTokens: 1, ignoreEos: true };
const ENOUGH_MS = 20_000; // for prompts of one length
const begun = 300; // tokens: no multiple of anything

/** Opens what a call needs, times the call, and closes it again. */
const inSession = (call, first) => async (length) => {
  const session = await model.session();
  if (first > 0) await session.append(ids(first, 1));
  const begin = performance.now();
  await call(session, ids(length));
  const ms = performance.now() - begin;
  await session.close();
  return ms;
};
const alone = (call) => async (length) => {
  const begin = performance.now();
  await call(ids(length));
  return performance.now() - begin;
};
let seed = 2;
const calls = {
  logits: alone((prompt) => model.logits(prompt, { last: 1 })),
  generate: alone((prompt) => model.generate(prompt, one).result()),
  'generate, prefix cache': (length) => {
    const prompt = ids(length, seed++); // new ones
    return alone(() => cached.generate(prompt, one).result())(length);
  },
  append: inSession((session, prompt) => session.append(prompt), 0),
  'append, second turn': inSession((session, prompt) => session.append(prompt), begun),
  'generate, second turn': inSession((session, prompt) => session.generate(prompt, one).result(), begun),
};

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
const times = {};
for (const length of lengths) {
  const runs = Object.fromEntries(Object.keys(calls).map((name) => [name, []]));
  const begin = performance.now();
  for (let round = 0; round <= rounds && (round < 2 || performance.now() - begin < ENOUGH_MS); round++)
    for (const [name, call] of Object.entries(calls)) {
      const ms = await call(length);
      if (round > 0) runs[name].push(ms); // the first warms
    }
  for (const [name, of] of Object.entries(runs)) times[name] = { ...times[name], [length]: median(of) };
}
await Promise.all([model.dispose(), cached.dispose()]);
console.log(JSON.stringify(times)); // call → length → ms
