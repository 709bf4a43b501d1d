// Prefill at two lengths, decode after short and long contexts, and the bytes held by then.
import { load } from '../../dist/node/index.js';

const { file, threads, numerics, tokens } = JSON.parse(process.argv[2]);
const model = await load(file, { threads: Number(threads), numerics, maxSessions: 2 });
const { vocabSize } = model.info;
const ids = (length) => Int32Array.from({ length }, (_, i) => (i * 7919 + 1) % vocabSize);
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function prefill(length) {
  const session = await model.session();
  const begin = performance.now();
  await session.append(ids(length));
  const rate = (1000 * length) / (performance.now() - begin);
  await session.close();
  return rate;
}
const decode = async (session) => {
  const { usage } = await session.generate('', { maxTokens: Number(tokens), ignoreEos: true }).result();
  return (1000 * (usage.completionTokens - 1)) / usage.decodeMs;
};

await prefill(512);
// As many tokens of both, in turn: a machine has better and worse minutes.
const rates = { 1024: [], 16384: [] };
for (let round = 0; round < 2; round++) {
  rates[16384].push(await prefill(16_384));
  for (let i = 0; i < 16; i++) rates[1024].push(await prefill(1024));
}
const [at1024, at16384] = [median(rates[1024]), median(rates[16384])];
const [short, long] = [await model.session(), await model.session()];
await short.append(ids(100));
const before = process.memoryUsage().rss;
await long.append(ids(100_000));
const after = process.memoryUsage().rss;
const ratios = [];
for (let i = 0; i < 7; i++) ratios.push((1 / (await decode(short))) * (await decode(long)));
const decodeRatio = median(ratios);
await model.dispose();
console.log(
  JSON.stringify({
    at1024,
    at16384,
    decodeRatio,
    rssGrowth: after - before,
    lines: [
      `prefill of 16,384 tokens runs at ${((100 * at16384) / at1024).toFixed(0)} % of the speed of 1,024`,
      `decode after 100,000 tokens runs at ${(100 * decodeRatio).toFixed(0)} % of the speed after 100; resident memory grew by ${((after - before) / 2 ** 20).toFixed(0)} MiB meanwhile`,
    ],
  }),
);
