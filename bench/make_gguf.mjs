// Writes a GGUF v3 file (arch "mamba2") with deterministic pseudo-random weights
// and real shapes, loadable by llama.cpp based runtimes.
//
//   node bench/make_gguf.mjs --model 130m --quant q4_0 --out FILE [--emb q8_0] [--seed 1]
//
// The float stream depends only on (seed, tensor name), so every quant of one
// model is a rounding of the same weights. No dependencies.
import fs from 'node:fs';
import { pathToFileURL } from 'node:url';

export const MODELS = {
  tiny: { d: 256, layers: 4, vocab: 1024 }, // for logit comparisons
  '130m': { d: 768, layers: 24, vocab: 50288 },
  '370m': { d: 1024, layers: 48, vocab: 50288 },
  '780m': { d: 1536, layers: 48, vocab: 50288 },
  '1.3b': { d: 2048, layers: 48, vocab: 50288 },
  '2.7b': { d: 2560, layers: 64, vocab: 50288 },
};
// ggml type id, block size, bytes a block, llama file type
export const QUANTS = {
  f32: { id: 0, block: 1, bytes: 4, ftype: 0 },
  f16: { id: 1, block: 1, bytes: 2, ftype: 1 },
  q4_0: { id: 2, block: 32, bytes: 18, ftype: 2 },
  q8_0: { id: 8, block: 32, bytes: 34, ftype: 7 },
};

// ---- half precision -------------------------------------------------------
const f32 = new Float32Array(1),
  u32 = new Uint32Array(f32.buffer);
export function toHalf(x) {
  // round to nearest even
  f32[0] = x;
  const b = u32[0],
    sign = (b >>> 16) & 0x8000,
    abs = b & 0x7fffffff;
  if (abs >= 0x47800000) return sign | 0x7c00;
  if (abs < 0x38800000) {
    // subnormal or zero
    if (abs < 0x33000000) return sign;
    const e = abs >>> 23,
      m = (abs & 0x7fffff) | 0x800000,
      s = 126 - e;
    let h = m >>> s;
    const rem = m & ((1 << s) - 1),
      half = 1 << (s - 1);
    if (rem > half || (rem === half && h & 1)) h++;
    return sign | h;
  }
  let h = (abs - 0x38000000) >>> 13;
  const rem = abs & 0x1fff;
  if (rem > 0x1000 || (rem === 0x1000 && h & 1)) h++;
  return sign | h;
}
export function fromHalf(h) {
  const s = h & 0x8000 ? -1 : 1,
    e = (h >> 10) & 31,
    m = h & 1023;
  if (e === 0) return s * m * 2 ** -24;
  return s * (1 + m / 1024) * 2 ** (e - 15);
}

// ---- quantisers: (Float32Array src, Uint8Array dst), whole blocks ---------
const enc = {
  f32(x, o) {
    new Float32Array(o.buffer, o.byteOffset, x.length).set(x);
  },
  f16(x, o) {
    const h = new Uint16Array(o.buffer, o.byteOffset, x.length);
    for (let i = 0; i < x.length; i++) h[i] = toHalf(x[i]);
  },
  q8_0(x, o) {
    const v = new DataView(o.buffer, o.byteOffset, o.byteLength);
    for (let b = 0, p = 0; b < x.length; b += 32, p += 34) {
      let m = 0;
      for (let i = 0; i < 32; i++) {
        const a = Math.abs(x[b + i]);
        if (a > m) m = a;
      }
      const d = m / 127,
        id = d ? 1 / d : 0;
      v.setUint16(p, toHalf(d), true);
      for (let i = 0; i < 32; i++) {
        const q = x[b + i] * id;
        o[p + 2 + i] = q < 0 ? Math.ceil(q - 0.5) : Math.floor(q + 0.5);
      }
    }
  },
  q4_0(x, o) {
    const v = new DataView(o.buffer, o.byteOffset, o.byteLength);
    for (let b = 0, p = 0; b < x.length; b += 32, p += 18) {
      let m = 0,
        s = 0;
      for (let i = 0; i < 32; i++) {
        const a = Math.abs(x[b + i]);
        if (a > m) {
          m = a;
          s = x[b + i];
        }
      }
      const d = s / -8,
        id = d ? 1 / d : 0;
      v.setUint16(p, toHalf(d), true);
      for (let i = 0; i < 16; i++) {
        let lo = (x[b + i] * id + 8.5) | 0,
          hi = (x[b + i + 16] * id + 8.5) | 0;
        if (lo > 15) lo = 15;
        if (hi > 15) hi = 15;
        o[p + 2 + i] = lo | (hi << 4);
      }
    }
  },
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
    _one = () => 1,
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

export function writeGguf(file, { model, quant, emb = quant, seed = 1, log = () => {} }) {
  const { c, di, n, g, nh, t } = layout(model, quant, emb);
  const parts = [];
  const u32b = (x) => {
    const b = Buffer.alloc(4);
    b.writeUInt32LE(x);
    parts.push(b);
  };
  const u64b = (x) => {
    const b = Buffer.alloc(8);
    b.writeBigUInt64LE(BigInt(x));
    parts.push(b);
  };
  const str = (s) => {
    const b = Buffer.from(s, 'utf8');
    u64b(b.length);
    parts.push(b);
  };
  const kv = [];
  const add = (k, type, val) => kv.push([k, type, val]); // 4 u32, 6 f32, 7 bool, 8 string, 9 array
  add('general.architecture', 8, 'mamba2');
  add('general.name', 8, `random-mamba2-${model}`);
  add('general.file_type', 4, QUANTS[quant].ftype);
  add('general.quantization_version', 4, 2);
  add('mamba2.context_length', 4, 1048576);
  add('mamba2.embedding_length', 4, c.d);
  add('mamba2.feed_forward_length', 4, 0);
  add('mamba2.attention.head_count', 4, 0);
  add('mamba2.block_count', 4, c.layers);
  add('mamba2.ssm.conv_kernel', 4, 4);
  add('mamba2.ssm.inner_size', 4, di);
  add('mamba2.ssm.state_size', 4, n);
  add('mamba2.ssm.time_step_rank', 4, nh);
  add('mamba2.ssm.group_count', 4, g);
  add('mamba2.attention.layer_norm_rms_epsilon', 6, 1e-5);
  // minimal byte-level BPE: id 0 end of text, 1..256 the bytes, the rest fillers
  const bs = [];
  for (let i = 33; i < 127; i++) bs.push(i);
  for (let i = 161; i < 173; i++) bs.push(i);
  for (let i = 174; i < 256; i++) bs.push(i);
  const cs = new Map(bs.map((b) => [b, b]));
  let k = 0;
  for (let b = 0; b < 256; b++) if (!cs.has(b)) cs.set(b, 256 + k++);
  const toks = ['<|endoftext|>'],
    types = [3];
  for (let b = 0; b < 256; b++) {
    toks.push(String.fromCodePoint(cs.get(b)));
    types.push(b < 128 ? 1 : 3);
  } // 3: never printed, so any output is valid UTF-8
  while (toks.length < c.vocab) {
    toks.push(`t${toks.length}`);
    types.push(1);
  }
  add('tokenizer.ggml.model', 8, 'gpt2');
  add('tokenizer.ggml.pre', 8, 'gpt-2');
  add('tokenizer.ggml.tokens', 9, [8, toks]);
  add('tokenizer.ggml.token_type', 9, [5, types]);
  add('tokenizer.ggml.merges', 9, [8, ['t 2', 't 3']]);
  add('tokenizer.ggml.bos_token_id', 4, 0);
  add('tokenizer.ggml.eos_token_id', 4, 0);
  add('tokenizer.ggml.add_bos_token', 7, false);

  parts.push(Buffer.from('GGUF'));
  u32b(3);
  u64b(t.length);
  u64b(kv.length);
  for (const [key, type, val] of kv) {
    str(key);
    u32b(type);
    if (type === 4) u32b(val);
    else if (type === 6) {
      const b = Buffer.alloc(4);
      b.writeFloatLE(val);
      parts.push(b);
    } else if (type === 7) parts.push(Buffer.from([val ? 1 : 0]));
    else if (type === 8) str(val);
    else {
      const [et, a] = val;
      u32b(et);
      u64b(a.length);
      if (et === 8) for (const s of a) str(s);
      else {
        const b = Buffer.alloc(4 * a.length);
        for (const [i, x] of a.entries()) b.writeInt32LE(x, 4 * i);
        parts.push(b);
      }
    }
  }
  let off = 0;
  const pad = (x) => Math.ceil(x / 32) * 32;
  for (const e of t) {
    e.n = e.ne.reduce((a, b) => a * b, 1);
    e.size = (e.n / QUANTS[e.q].block) * QUANTS[e.q].bytes;
    e.off = off;
    off = pad(off + e.size);
    str(e.name);
    u32b(e.ne.length);
    for (const x of e.ne) u64b(x);
    u32b(QUANTS[e.q].id);
    u64b(e.off);
  }
  const head = Buffer.concat(parts),
    fd = fs.openSync(`${file}.part`, 'w');
  fs.writeSync(fd, head);
  fs.writeSync(fd, Buffer.alloc(pad(head.length) - head.length));
  for (const e of t) {
    const r = stream(e.name, seed),
      row = e.ne[0],
      rows = e.n / row,
      step = e.ne.length === 1 || row < 32 ? rows : Math.max(1, Math.floor((1 << 20) / row));
    for (let a = 0; a < rows; a += step) {
      const m = Math.min(step, rows - a) * row,
        x = new Float32Array(m);
      for (let i = 0; i < m; i++) x[i] = e.f(r);
      const o = new Uint8Array((m / QUANTS[e.q].block) * QUANTS[e.q].bytes);
      enc[e.q](x, o);
      fs.writeSync(fd, o);
    }
    fs.writeSync(fd, Buffer.alloc(pad(e.size) - e.size));
    log(e.name);
  }
  fs.closeSync(fd);
  fs.renameSync(`${file}.part`, file);
  return { bytes: fs.statSync(file).size, params: t.reduce((a, e) => a + e.n, 0) };
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
