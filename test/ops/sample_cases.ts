import { type SampleParams, GREEDY as UNPLACED } from '../../src/ops/sample.ts';
import { Random } from '../helpers/random.ts';
import { buildCase, matrix, type OpCase, rowsOf, Views, vector } from './build.ts';

const WIDTH = 16; // rows that a case can have

export const GREEDY: SampleParams = { ...UNPLACED, position: 0 };

/** One row: its logits (quarters of them must be f32 numbers), how it is sampled, and what must come out. */
interface SampleRow {
  logits: readonly number[] | Float32Array; // [vocab]
  params: Partial<SampleParams>;
  expected?: number;
}

/**
 * Row r has x = 4·e_r, which the norm of width 16 leaves as it is, and column r of the head holds a quarter
 * of its logits: so every backend samples from exactly the logits given.
 */
function sampleCase(name: string, rows: readonly SampleRow[]): OpCase {
  const vocab = rows[0]!.logits.length;
  const views = new Views();
  const x = views.add('x', WIDTH, (_, i) => (Math.floor(i / WIDTH) === i % WIDTH ? 4 : 0));
  const outputs = rows.map(({ params }, row) => ({
    row,
    sample: { ...GREEDY, ...params },
    target: row % vocab,
    logits: true,
  }));
  const expected = rows.flatMap((row) => row.expected ?? []);
  return buildCase(
    name,
    rowsOf(rows.length).map((step) => ({ ...step, outputs })),
    {
      views,
      weights: { g: vector(WIDTH), w: matrix(vocab, WIDTH) },
      values: {
        g: () => 1,
        w: (_, i) => (rows[i % WIDTH]?.logits[Math.floor(i / WIDTH)] ?? 0) / 4,
      },
      vocabSize: vocab,
      calls: [{ op: 'logits', x, g: 'g', w: 'w', eps: 1e-10 }, { op: 'sample' }],
      ...(expected.length === rows.length && { expected }),
    },
  );
}

const ids = (...values: number[]) => Int32Array.from(values);
const plain = [1, 3, 2, 3, 0, -1, 2.5, -4];

const greedy = sampleCase('greedy, biases and penalties', [
  { logits: plain, params: { top: 8 }, expected: 1 },
  { logits: plain, params: { bias: { ids: ids(6), values: Float32Array.of(1) } }, expected: 6 },
  { logits: plain, params: { bias: { ids: ids(1, 3), values: Float32Array.of(-100, -100) } }, expected: 6 },
  { logits: plain, params: { recent: ids(1), repetitionPenalty: 2 }, expected: 3 },
  { logits: plain, params: { recent: ids(1, 3, 3), repetitionPenalty: 2 }, expected: 6 },
  { logits: plain.map((l) => l - 10), params: { recent: ids(1, 3), repetitionPenalty: 1.5 }, expected: 6 },
  { logits: plain, params: { recent: ids(1, 1, 3), frequencyPenalty: 0.25 }, expected: 3 }, // 2.5, 2.75
  { logits: plain, params: { recent: ids(1, 1, 3), presencePenalty: 0.75 }, expected: 6 }, // 2.25, 2.25
  { logits: plain, params: { recent: ids(0, 2), presencePenalty: -5 }, expected: 2 }, // 6, 7
  {
    logits: plain, // 4 is biased to 8, then halved to 4
    params: { bias: { ids: ids(4), values: Float32Array.of(8) }, recent: ids(4), repetitionPenalty: 2 },
    expected: 4,
  },
  { logits: plain, params: { recent: new Int32Array(64).fill(3), frequencyPenalty: -0.0625 }, expected: 3 },
  { logits: plain, params: { recent: ids(0), repetitionPenalty: 0.25 }, expected: 0 }, // 1 / 0.25
]);

const flat = new Array<number>(8).fill(0.5); // id = ⌊8 u⌋
const draws = sampleCase(
  'draws from equal logits',
  [0, 1, 2, 3, 77, 4096, 123456, 2 ** 31].map((position, i) => ({
    logits: flat,
    params: { temperature: 0.5 + i, seedLo: 0xdeadbeef, seedHi: i % 2 ? 0x12345678 : 0, position, top: 3 },
    expected: Math.floor(8 * expectedUniform(0xdeadbeef, i % 2 ? 0x12345678 : 0, position)),
  })),
);

const filters = sampleCase('filters that leave one token', [
  { logits: plain, params: { temperature: 1, topK: 1 }, expected: 1 },
  { logits: plain, params: { temperature: 5, topP: 0.01 }, expected: 1 },
  {
    logits: plain,
    params: { temperature: 0.001, seedLo: 5, recent: ids(3), presencePenalty: 1 },
    expected: 1,
  },
  { logits: plain, params: { temperature: 1, minP: 0.75, recent: ids(1), presencePenalty: 1 }, expected: 3 },
  { logits: plain, params: { temperature: 1, topK: 2, topP: 0.5, seedLo: 9 }, expected: 1 },
  // two of four equal weights reach exactly one half: 0 and 1 are kept, and of these ⌊2 u⌋
  { logits: [2, 2, 2, 2, -90, -90, -90, -90], params: { temperature: 1, topP: 0.5 }, expected: half(0) },
  {
    logits: [-90, 2, -90, 2, -90, 2, -90, 2],
    params: { temperature: 1, topK: 2 },
    expected: 1 + 2 * half(0),
  },
  { logits: plain, params: { temperature: 1, minP: 0.99, seedLo: 3 }, expected: 1 + 2 * half(3) },
]);

const tiny = sampleCase('one token to choose from', [
  { logits: [-3], params: { top: 1 }, expected: 0 },
  { logits: [7], params: { temperature: 1, topK: 5, topP: 0.5, minP: 0.5 }, expected: 0 },
]);

/** Logits in steps of 1/8, so that many are equal, as after quantization. */
function wide(vocab: number): OpCase {
  const random = new Random(`sample ${vocab}`);
  const logits = random.floats(vocab, () => Math.round(random.normal(3) * 8) / 8);
  const recent = Int32Array.from({ length: 64 }, () => random.below(vocab));
  const bias = { ids: ids(0, vocab - 1, vocab >> 1), values: Float32Array.of(1, -2, 12) };
  const options: Partial<SampleParams>[] = [
    { top: 20 },
    { recent, repetitionPenalty: 1.25, bias, top: 5 },
    { temperature: 0.75 },
    { temperature: 1, topK: 40 },
    { temperature: 1.5, topP: 0.9 },
    { temperature: 0.8, minP: 0.05 },
    {
      temperature: 0.9,
      topK: 200,
      topP: 0.95,
      minP: 0.01,
      recent,
      frequencyPenalty: 0.5,
      presencePenalty: 0.5,
    },
    { temperature: 2, topK: 1000000, bias, top: 20 },
  ];
  return sampleCase(
    `${vocab} tokens`,
    options.map((params, i) => ({
      logits,
      params: { seedLo: 17 * i + 3, seedHi: i, position: 100 + i, ...params },
    })),
  );
}

export const sampleCases: OpCase[] = [
  greedy,
  draws,
  filters,
  tiny,
  wide(97),
  wide(1024),
  wide(4096),
  wide(50288),
];

function half(seedLo: number): number {
  return Math.floor(2 * expectedUniform(seedLo, 0, 0));
}

/** `u` of src/ops/sample.ts once more, in arithmetic that shares nothing with the backends. */
export function expectedUniform(seedLo: number, seedHi: number, position: number): number {
  const M = 0xffffffffn;
  const mix = (value: bigint) => {
    let x = value;
    x = ((x ^ (x >> 16n)) * 0x7feb352dn) & M;
    x = ((x ^ (x >> 15n)) * 0x846ca68bn) & M;
    return x ^ (x >> 16n);
  };
  return Number(mix(BigInt(seedLo) ^ mix(BigInt(seedHi) ^ mix(BigInt(position)))) >> 8n) / 2 ** 24;
}
