// Rounds floats to the blocks of GGUF's types. Simple minima and maxima, not llama.cpp's searches: for random weights.

/** GGUF's number of a type, elements and bytes of a block, llama.cpp's number of such a file. */
export const QUANTS = {
  f32: { id: 0, block: 1, bytes: 4, ftype: 0 },
  f16: { id: 1, block: 1, bytes: 2, ftype: 1 },
  q4_0: { id: 2, block: 32, bytes: 18, ftype: 2 },
  q8_0: { id: 8, block: 32, bytes: 34, ftype: 7 },
  q4_k: { id: 12, block: 256, bytes: 144, ftype: 14 },
  q6_k: { id: 14, block: 256, bytes: 210, ftype: 18 },
};

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The bits of the nearest float16, ties to even. */
function toHalf(x) {
  f32[0] = x;
  const bits = u32[0];
  const sign = (bits >>> 16) & 0x8000;
  const abs = bits & 0x7fffffff;
  if (abs >= 0x47800000) return sign | 0x7c00;
  if (abs < 0x33000000) return sign;
  const subnormal = abs < 0x38800000;
  const mantissa = subnormal ? (abs & 0x7fffff) | 0x800000 : abs - 0x38000000;
  const shift = subnormal ? 126 - (abs >>> 23) : 13;
  const half = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return sign | (half + (rest > tie || (rest === tie && half & 1) ? 1 : 0));
}

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

const clamp = (x, most) => Math.max(0, Math.min(most, x));
const inverse = (x) => (x ? 1 / x : 0);

/** The element of the largest magnitude, with its sign. */
function peak(x) {
  let best = 0;
  for (let i = 0; i < x.length; i++) if (Math.abs(x[i]) > Math.abs(best)) best = x[i];
  return best;
}

/** One block each: x [elements] into bytes, which are zero. */
const BLOCKS = {
  q8_0(x, view) {
    const d = Math.abs(peak(x)) / 127;
    view.setUint16(0, toHalf(d), true);
    for (let i = 0; i < 32; i++) {
      const q = x[i] * inverse(d);
      view.setInt8(2 + i, q < 0 ? Math.ceil(q - 0.5) : Math.floor(q + 0.5));
    }
  },

  q4_0(x, view) {
    const d = peak(x) / -8;
    view.setUint16(0, toHalf(d), true);
    const code = (i) => Math.min(15, (x[i] * inverse(d) + 8.5) | 0);
    for (let i = 0; i < 16; i++) view.setUint8(2 + i, code(i) | (code(i + 16) << 4));
  },

  /** 8 groups of 32, each with a scale and a minimum of 6 bits. */
  q4_k(x, view) {
    const groups = Array.from({ length: 8 }, (_, j) => x.subarray(32 * j, 32 * j + 32));
    const lows = groups.map((group) => Math.min(0, ...group));
    const steps = groups.map((group, j) => (Math.max(...group) - lows[j]) / 15);
    const [d, dmin] = [Math.max(...steps) / 63, -Math.min(...lows) / 63].map(toHalf);
    view.setUint16(0, d, true);
    view.setUint16(2, dmin, true);
    const six = (value, scale) => (fromHalf(scale) ? Math.min(63, Math.round(value / fromHalf(scale))) : 0);
    const scales = steps.map((step) => six(step, d));
    const mins = lows.map((low) => six(-low, dmin));
    for (let j = 0; j < 4; j++) {
      view.setUint8(4 + j, scales[j] | ((scales[j + 4] >> 4) << 6));
      view.setUint8(8 + j, mins[j] | ((mins[j + 4] >> 4) << 6));
      view.setUint8(12 + j, (scales[j + 4] & 15) | ((mins[j + 4] & 15) << 4));
    }
    const rounded = scales.map((scale) => fromHalf(d) * scale);
    const offsets = mins.map((min) => fromHalf(dmin) * min);
    const code = (value, j) => (rounded[j] ? clamp(Math.round((value + offsets[j]) / rounded[j]), 15) : 0);
    const codes = Array.from(x, (value, i) => code(value, i >> 5));
    for (let i = 0; i < 128; i++) {
      const at = 64 * (i >> 5) + (i & 31);
      view.setUint8(16 + i, codes[at] | (codes[at + 32] << 4));
    }
  },

  /** 16 groups of 16, each with a scale of 8 bits. */
  q6_k(x, view) {
    const steps = Array.from({ length: 16 }, (_, j) => Math.abs(peak(x.subarray(16 * j, 16 * j + 16))) / 31);
    const d = toHalf(Math.max(...steps) / 127);
    view.setUint16(208, d, true);
    const scales = steps.map((step) => (fromHalf(d) ? Math.min(127, Math.round(step / fromHalf(d))) : 0));
    for (const [j, scale] of scales.entries()) view.setInt8(192 + j, scale);
    const rounded = scales.map((scale) => scale * fromHalf(d));
    const code = (value, step) => (step ? clamp(Math.round(value / step) + 32, 63) : 32);
    const codes = Array.from(x, (value, i) => code(value, rounded[i >> 4]));
    for (let i = 0; i < 64; i++) {
      const [half, at] = [i >> 5, i & 31];
      const q = [0, 32, 64, 96].map((offset) => codes[128 * half + offset + at]);
      view.setUint8(64 * half + at, (q[0] & 15) | ((q[2] & 15) << 4));
      view.setUint8(64 * half + 32 + at, (q[1] & 15) | ((q[3] & 15) << 4));
      const high = q.reduce((bits, code, k) => bits | ((code >> 4) << (2 * k)), 0);
      view.setUint8(128 + 32 * half + at, high);
    }
  },
};

/** Whole blocks of a type. */
export function encodeBlocks(quant, x) {
  if (quant === 'f32') return new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
  if (quant === 'f16') {
    const halves = new Uint16Array(x.length);
    for (let i = 0; i < x.length; i++) halves[i] = toHalf(x[i]);
    return new Uint8Array(halves.buffer);
  }
  const { block, bytes } = QUANTS[quant];
  const out = new Uint8Array((x.length / block) * bytes);
  for (let i = 0; i * block < x.length; i++)
    BLOCKS[quant](x.subarray(i * block, (i + 1) * block), new DataView(out.buffer, i * bytes, bytes));
  return out;
}
