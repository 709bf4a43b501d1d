/*
 * Loads a model of the shape of mamba2-2.7b as q4 through the built package: its file, 5.4 GB of float16 numbers, is never
 * anywhere, but made as it is read. Prints what was loaded, what was reported and the process's peak memory.
 */
import { load } from '../../dist/node/index.js';

const [D, LAYERS, VOCAB] = [2560, 64, 50_288];
const [INNER, STATE, HEADS] = [2 * D, 128, (2 * D) / 64];
const CHANNELS = INNER + 2 * STATE;

const shapes = [
  ['backbone.embedding.weight', [VOCAB, D]],
  ['backbone.norm_f.weight', [D]],
];
for (let i = 0; i < LAYERS; i++) {
  const mixer = `backbone.layers.${i}.mixer`;
  shapes.push(
    [`backbone.layers.${i}.norm.weight`, [D]],
    [`${mixer}.in_proj.weight`, [INNER + CHANNELS + HEADS, D]],
    [`${mixer}.conv1d.weight`, [CHANNELS, 1, 4]],
    [`${mixer}.conv1d.bias`, [CHANNELS]],
    [`${mixer}.dt_bias`, [HEADS]],
    [`${mixer}.A_log`, [HEADS]],
    [`${mixer}.D`, [HEADS]],
    [`${mixer}.norm.weight`, [INNER]],
    [`${mixer}.out_proj.weight`, [D, INNER]],
  );
}
let end = 0;
const header = {};
for (const [name, shape] of shapes) {
  const begin = end;
  end += 2 * shape.reduce((a, b) => a * b, 1);
  header[name] = { dtype: 'F16', shape, data_offsets: [begin, end] };
}
const text = new TextEncoder().encode(JSON.stringify(header).padEnd(65_528));
const head = new Uint8Array(8 + text.length); // of even length: values lie at even offsets
new DataView(head.buffer).setBigUint64(0, BigInt(text.length), true);
head.set(text, 8);

/** 2 MiB of float16 numbers of both signs below 1/16; each 2 MiB of the file are these, xored with a number of theirs. */
const NOISE = Uint16Array.from({ length: 2 ** 20 }, (_, i) => (Math.imul(i, 2654435761) >>> 16) & 0xabff);

/** A file that is made as it is read. */
class Generated extends File {
  get size() {
    return head.length + end;
  }

  slice(begin, finish) {
    return { arrayBuffer: async () => bytes(begin, finish) };
  }
}

function bytes(begin, finish) {
  const made = new Uint8Array(finish - begin);
  if (begin < head.length) made.set(head.subarray(begin, finish));
  if (finish <= head.length) return made.buffer;
  const first = Math.max(begin, head.length);
  const values = new Uint16Array(Math.ceil((finish - first) / 2) + 1);
  const at = Math.floor((first - head.length) / 2); // of the first value
  for (let i = 0; i < values.length; i++) {
    const block = Math.floor((at + i) / NOISE.length);
    values[i] = NOISE[(at + i) % NOISE.length] ^ (Math.imul(block, 40503) & 0x3ff);
  }
  const skipped = (first - head.length) % 2;
  made.set(new Uint8Array(values.buffer, skipped, finish - first), first - begin);
  return made.buffer;
}

const config = {
  ...{ d_model: D, n_layer: LAYERS, vocab_size: 50_277, pad_vocab_size_multiple: 16 },
  ...{ d_intermediate: 0, rms_norm: true, tie_embeddings: true, ssm_cfg: { layer: 'Mamba2' } },
};
const files = [new Generated([], 'model.safetensors'), new File([JSON.stringify(config)], 'config.json')];
const before = process.resourceUsage().maxRSS * 1024;
const reports = { open: 0, weights: 0, ready: 0 };
const estimates = [];
let total = 0;
const begin = performance.now();
const model = await load(files, {
  backend: 'wasm',
  quantize: 'q4',
  maxSessions: 1,
  onProgress({ stage, loaded, total: all, remainingMs }) {
    reports[stage]++;
    total = Math.max(total, all);
    if (remainingMs !== null) estimates.push({ loaded, ms: performance.now() - begin, remainingMs });
  },
});
const loadMs = performance.now() - begin;
const { tokens } = await model.generate([1, 2, 3], { maxTokens: 3, ignoreEos: true }).result();
const peak = process.resourceUsage().maxRSS * 1024;
const { weightBytes, stateBytes, totalBytes, parameters } = model.info;
await model.dispose();
const result = {
  before,
  peak,
  weightBytes,
  stateBytes,
  totalBytes,
  parameters,
  loadMs,
  reports,
  total,
  estimates,
};
process.stdout.write(
  JSON.stringify({ ...result, fileBytes: head.length + end, ids: tokens.map(({ id }) => id) }),
);
