// Writes a GGUF v3 file (arch "mamba2") with deterministic pseudo-random weights
// and real shapes, loadable by llama.cpp based runtimes.
//
//   node bench/make_gguf.mjs --model 130m --quant q4_0 --out FILE [--emb q8_0] [--seed 1]
//
// The float stream depends only on (seed, tensor name), so every quant of one
// model is a rounding of the same weights. No dependencies.
import fs from 'node:fs';
import { pathToFileURL } from 'node:url';
import { encodeBlocks, QUANTS } from './gguf_blocks.mjs';

export const MODELS = {
  tiny: { d: 256, layers: 4, vocab: 1024 }, // for logit comparisons
  '130m': { d: 768, layers: 24, vocab: 50288 },
  '370m': { d: 1024, layers: 48, vocab: 50288 },
  '780m': { d: 1536, layers: 48, vocab: 50288 },
  '1.3b': { d: 2048, layers: 48, vocab: 50288 },
  '2.7b': { d: 2560, layers: 64, vocab: 50288 },
};
// ---- deterministic floats -------------------------------------------------
function stream(name, seed) {
  let h = 2166136261 ^ seed;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 16777619);
  let s = h >>> 0 || 1;
  return () => {
    s ^= s << 13;
    s >>>= 0;
    s ^= s >>> 17;
    s ^= s << 5;
    s >>>= 0;
    return s / 4294967296;
  }; // [0,1)
}
const softplusInv = (x) => x + Math.log(-Math.expm1(-x));

export function layout(model, quant, emb) {
  const c = MODELS[model],
    d = c.d,
    di = 2 * d,
    n = 128,
    g = 1,
    nh = di / 64,
    conv = di + 2 * g * n,
    dip = di + conv + nh;
  const t = [],
    un = (a) => (r) => (2 * r() - 1) * a,
    base = quant === 'f32' ? 'f32' : quant;
  t.push({ name: 'token_embd.weight', ne: [d, c.vocab], q: emb, f: un(0.05) });
  t.push({ name: 'output_norm.weight', ne: [d], q: 'f32', f: (r) => 0.5 + r() });
  for (let i = 0; i < c.layers; i++) {
    const p = `blk.${i}.`,
      w = Math.sqrt(3 / d),
      wo = Math.sqrt(3 / di) / Math.sqrt(c.layers);
    t.push({ name: `${p}attn_norm.weight`, ne: [d], q: 'f32', f: (r) => 0.5 + r() });
    t.push({ name: `${p}ssm_in.weight`, ne: [d, dip], q: base, f: un(w) });
    t.push({ name: `${p}ssm_conv1d.weight`, ne: [4, conv], q: 'f32', f: un(0.5) });
    t.push({ name: `${p}ssm_conv1d.bias`, ne: [conv], q: 'f32', f: un(0.5) });
    t.push({
      name: `${p}ssm_dt.bias`,
      ne: [nh],
      q: 'f32',
      f: (r) => softplusInv(Math.exp(r() * (Math.log(0.1) - Math.log(0.001)) + Math.log(0.001))),
    });
    t.push({ name: `${p}ssm_a`, ne: [1, nh], q: 'f32', f: (r) => -(1 + 15 * r()) });
    t.push({ name: `${p}ssm_d`, ne: [1, nh], q: 'f32', f: (r) => 0.5 + r() });
    t.push({ name: `${p}ssm_norm.weight`, ne: [di / g, g], q: 'f32', f: (r) => 0.5 + r() });
    t.push({ name: `${p}ssm_out.weight`, ne: [di, d], q: base, f: un(wo) });
  }
  return { c, di, n, g, nh, t };
}

/** A minimal byte-level BPE: id 0 ends a text, 1 to 256 are the bytes, the rest fillers. */
function vocabulary(size) {
  const printable = (b) => (b > 32 && b < 127) || (b > 160 && b !== 173);
  let other = 256;
  const bytes = [...Array(256).keys()].map((b) => String.fromCodePoint(printable(b) ? b : other++));
  const tokens = ['<|endoftext|>', ...bytes];
  while (tokens.length < size) tokens.push(`t${tokens.length}`);
  // 3: never printed, so any output is valid UTF-8
  return { tokens, types: tokens.map((_, id) => (id === 0 || (id > 128 && id <= 256) ? 3 : 1)) };
}

/** Keys, GGUF's types of values (4 u32, 6 f32, 7 bool, 8 string, 9 array), values. */
function metadata(model, quant) {
  const { c, di, n, g, nh } = layout(model, quant, quant);
  const { tokens, types } = vocabulary(c.vocab);
  return [
    ['general.architecture', 8, 'mamba2'],
    ['general.name', 8, `random-mamba2-${model}`],
    ['general.file_type', 4, QUANTS[quant].ftype],
    ['general.quantization_version', 4, 2],
    ['mamba2.context_length', 4, 1048576],
    ['mamba2.embedding_length', 4, c.d],
    ['mamba2.feed_forward_length', 4, 0],
    ['mamba2.attention.head_count', 4, 0],
    ['mamba2.block_count', 4, c.layers],
    ['mamba2.ssm.conv_kernel', 4, 4],
    ['mamba2.ssm.inner_size', 4, di],
    ['mamba2.ssm.state_size', 4, n],
    ['mamba2.ssm.time_step_rank', 4, nh],
    ['mamba2.ssm.group_count', 4, g],
    ['mamba2.attention.layer_norm_rms_epsilon', 6, 1e-5],
    ['tokenizer.ggml.model', 8, 'gpt2'],
    ['tokenizer.ggml.pre', 8, 'gpt-2'],
    ['tokenizer.ggml.tokens', 9, [8, tokens]],
    ['tokenizer.ggml.token_type', 9, [5, types]],
    ['tokenizer.ggml.merges', 9, [8, ['t 2', 't 3']]],
    ['tokenizer.ggml.bos_token_id', 4, 0],
    ['tokenizer.ggml.eos_token_id', 4, 0],
    ['tokenizer.ggml.add_bos_token', 7, false],
  ];
}

const pad = (x) => Math.ceil(x / 32) * 32;

/** Bytes written with a DataView. */
function bytesOf(count, write) {
  const bytes = new Uint8Array(count);
  write(new DataView(bytes.buffer));
  return bytes;
}
const u32 = (x) => bytesOf(4, (view) => view.setUint32(0, x, true));
const u64 = (x) => bytesOf(8, (view) => view.setBigUint64(0, BigInt(x), true));
const string = (text) => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);

function valueBytes(type, value) {
  if (type === 4 || type === 5) return u32(value);
  if (type === 6) return bytesOf(4, (view) => view.setFloat32(0, value, true));
  if (type === 7) return Uint8Array.of(value ? 1 : 0);
  if (type === 8) return string(value);
  const [inner, items] = value;
  return Buffer.concat([u32(inner), u64(items.length), ...items.map((item) => valueBytes(inner, item))]);
}

/** What stands before the tensors; notes in each tensor how many elements and bytes it has. */
function header(tensors, pairs) {
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(pairs.length)];
  for (const [key, type, value] of pairs) parts.push(string(key), u32(type), valueBytes(type, value));
  let offset = 0;
  for (const tensor of tensors) {
    const { id, block, bytes } = QUANTS[tensor.q];
    tensor.n = tensor.ne.reduce((a, b) => a * b, 1);
    tensor.size = (tensor.n / block) * bytes;
    parts.push(string(tensor.name), u32(tensor.ne.length), ...tensor.ne.map(u64), u32(id), u64(offset));
    offset = pad(offset + tensor.size);
  }
  return Buffer.concat(parts);
}

/** A tensor's blocks, about a million elements at a time. */
function writeTensor(descriptor, { name, ne, n, q, f }, seed) {
  const random = stream(name, seed);
  const row = ne[0];
  const rows = n / row;
  const step = ne.length === 1 || row < 32 ? rows : Math.max(1, Math.floor((1 << 20) / row));
  for (let at = 0; at < rows; at += step) {
    const x = new Float32Array(Math.min(step, rows - at) * row);
    for (let i = 0; i < x.length; i++) x[i] = f(random);
    fs.writeSync(descriptor, encodeBlocks(q, x));
  }
}

export function writeGguf(file, { model, quant, emb = quant, seed = 1, log = () => {} }) {
  const { t: tensors } = layout(model, quant, emb);
  const head = header(tensors, metadata(model, quant));
  const descriptor = fs.openSync(`${file}.part`, 'w');
  const fill = (length) => fs.writeSync(descriptor, new Uint8Array(pad(length) - length));
  fs.writeSync(descriptor, head);
  fill(head.length);
  for (const tensor of tensors) {
    writeTensor(descriptor, tensor, seed);
    fill(tensor.size);
    log(tensor.name);
  }
  fs.closeSync(descriptor);
  fs.renameSync(`${file}.part`, file);
  return { bytes: fs.statSync(file).size, params: tensors.reduce((sum, { n }) => sum + n, 0) };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const a = {};
  for (let i = 2; i < process.argv.length; i += 2) a[process.argv[i].slice(2)] = process.argv[i + 1];
  console.log(
    JSON.stringify(
      writeGguf(a.out, {
        model: a.model,
        quant: a.quant,
        ...(a.emb ? { emb: a.emb } : {}),
        seed: Number(a.seed ?? 1),
      }),
    ),
  );
}
