// What a conversation of constant size is good for: fork, save, restore, rewind, cached prefixes, batches.
import { load } from '../../dist/node/index.js';

const { file, threads, numerics, prompt } = JSON.parse(process.argv[2]);
const options = { threads: Number(threads), numerics, maxSessions: 4, checkpointBytes: 2 ** 28 };
const model = await load(file, options);
const { vocabSize, slotBytes } = model.info;
const text = (length, seed = 1) => Int32Array.from({ length }, (_, i) => (i * 7919 + seed * 31) % vocabSize);
const greedy = { maxTokens: 32, ignoreEos: true };
const now = () => performance.now();

async function time(run, times = 7) {
  const ms = [];
  for (let i = 0; i < times; i++) {
    const begin = now();
    await run();
    ms.push(now() - begin);
  }
  return ms.sort((a, b) => a - b)[times >> 1];
}

const found = { slotBytes };
const session = await model.session();
const length = Number(prompt);
await session.append(text(64));
await session.reset();
const begin = now();
await session.append(text(length));
found.prefillMs = now() - begin;
found.prefillPerToken = found.prefillMs / length;

found.callMs = await time(() => session.append([])); // what a call costs that does nothing
const forks = [];
found.forkMs = await time(async () => {
  forks.push(await session.fork());
  await forks.pop().close();
});
for (const dtype of ['f32', 'f16']) {
  let bytes;
  found[`${dtype}SaveMs`] = await time(async () => {
    bytes = await session.save({ dtype });
  });
  found[`${dtype}Bytes`] = bytes.length;
  found[`${dtype}RestoreMs`] = await time(async () => {
    const restored = await model.restore(bytes);
    await restored.close();
  });
}
// Prefill is linear in length and restoring costs the same at any.
found.restoreBeats16k = (16_384 * found.prefillPerToken) / found.f32RestoreMs;

found.rewind = [];
for (const distance of [0, 100, 400]) {
  const fork = await session.fork();
  await fork.append(text(2 * 512 - length - 1 + 5, 2)); // a checkpoint lies at 512
  const from = now();
  await fork.rewind({ position: 512 + distance });
  found.rewind.push({ distance, ms: now() - from });
  await fork.close();
}

// Four conversations at once, while a fifth prompt is read: throughput, and the longest wait for a token.
const alone = await session.fork();
const single = await alone.generate('', { ...greedy, maxTokens: 64 }).result();
found.decodeAlone = (1000 * 63) / single.usage.decodeMs;
await alone.close();
const together = [await session.fork(), await session.fork()];
let longestMs = 0;
let tokens = 0;
const from = now();
const reading = model.generate(text(length, 3), { maxTokens: 1 }).result();
await Promise.all(
  together.map(async (one) => {
    let last = null;
    for await (const _ of one.generate('', { ...greedy, maxTokens: 64 })) {
      if (last !== null) longestMs = Math.max(longestMs, now() - last);
      last = now();
      tokens += 1;
    }
  }),
);
await reading;
found.mixed = { tokens, ms: now() - from, prefilled: length, longestGapMs: longestMs };
await model.dispose();

const cached = await load(file, { ...options, cacheBytes: 8 * slotBytes });
await cached.generate(text(64), greedy).result();
const asked = [...text(length)];
const first = async (more) =>
  (await cached.generate([...asked, more], { maxTokens: 1 }).result()).usage.prefillMs;
found.firstTokenColdMs = await first(1);
found.firstTokenCachedMs = await first(1);

const streamed = await cached.session();
async function* stream() {
  for (let i = 0; i < length; i += 64) yield text(length, 5).subarray(i, i + 64);
}
const streaming = now();
await streamed.append(stream());
found.streamPerToken = (now() - streaming) / length;
await cached.dispose();

const f = (value, digits = 2) => value.toFixed(digits);
const mib = (bytes) => f(bytes / 2 ** 20, 1);
found.lines = [
  `state ${mib(slotBytes)} MiB; fork ${f(found.forkMs)} ms (a call that does nothing ${f(found.callMs)} ms)`,
  ...['f32', 'f16'].map(
    (dtype) =>
      `${dtype}: save ${f(found[`${dtype}SaveMs`])} ms, restore ${f(found[`${dtype}RestoreMs`])} ms, ${mib(found[`${dtype}Bytes`])} MiB`,
  ),
  `restoring beats prefilling 16,384 tokens ${f(found.restoreBeats16k, 0)} times (prefill ${f(found.prefillPerToken, 3)} ms a token)`,
  `rewind by replay: ${found.rewind.map(({ distance, ms }) => `${distance} tokens ${f(ms, 1)} ms`).join(', ')}`,
  `first token after ${length}: ${f(found.firstTokenColdMs, 1)} ms, cached ${f(found.firstTokenCachedMs, 1)} ms`,
  `append(stream) ${f(found.streamPerToken, 3)} ms a token`,
  `decode alone ${f(found.decodeAlone, 1)} tok/s; two beside a prefill of ${length}: ${tokens} tokens in ${f(found.mixed.ms, 0)} ms, longest wait ${f(longestMs, 0)} ms`,
];
console.log(JSON.stringify(found));
