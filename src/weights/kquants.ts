import type { QuantTensor } from '../types.ts';
import { f16ToNumber } from './half.ts';

type Format = QuantTensor['format'];

const BLOCK = 256; // elements of a block

interface Codes {
  q: Uint8Array; // [blocks, 32 · bits]
  scale: Float32Array; // [blocks, groups of a block]
  bias: Float32Array | null; // the same
}

export interface KQuant {
  format: Format;
  bytes: number; // of a block
  decode(blocks: Uint8Array, at: number, index: number, to: Codes): void;
}

const f32Scales = { kind: 'quant', scaleDtype: 'f32' } as const;

/** GGUF's k-quants that are read. Their scales are products of an f16 and an integer of 6 or 8 bits, exact in f32. */
export const KQUANTS: Readonly<Record<string, KQuant>> = {
  Q4_K: { format: { ...f32Scales, bits: 4, group: 32, hasBias: true }, bytes: 144, decode: decodeQ4 },
  Q5_K: { format: { ...f32Scales, bits: 8, group: 32, hasBias: true }, bytes: 176, decode: decodeQ5 },
  Q6_K: { format: { ...f32Scales, bits: 8, group: 16, hasBias: false }, bytes: 210, decode: decodeQ6 },
};

/** Blocks of k-quants in the canonical form: every weight is exactly what ggml makes of it. */
export function unpackKQuant(
  blocks: Uint8Array,
  rows: number,
  cols: number,
  { format, bytes, decode }: KQuant,
): QuantTensor {
  const count = (rows * cols) / BLOCK;
  const groups = (count * BLOCK) / format.group;
  const codes: Codes = {
    q: new Uint8Array((count * BLOCK * format.bits) / 8),
    scale: new Float32Array(groups),
    bias: format.hasBias ? new Float32Array(groups) : null,
  };
  for (let b = 0; b < count; b++) decode(blocks, b * bytes, b, codes);
  return { format, rows, cols, ...codes };
}

const f16 = (bytes: Uint8Array, at: number): number => f16ToNumber(bytes[at]! | (bytes[at + 1]! << 8));

/** f16 d and dmin, then 8 six-bit scales and minima in 12 bytes: a group's scale is d · scale, its offset −dmin · min. */
function scalesQ45(blocks: Uint8Array, at: number, index: number, { scale, bias }: Codes): void {
  const d = f16(blocks, at);
  const dmin = f16(blocks, at + 2);
  for (let g = 0; g < 8; g++) {
    const a = blocks[at + 4 + (g & 3)]!; // low 6 bits: scale g < 4; top 2: of scale g ≥ 4
    const b = blocks[at + 8 + (g & 3)]!; // the same of minima
    const c = blocks[at + 12 + (g & 3)]!; // low nibbles of scale and minimum g ≥ 4
    scale[8 * index + g] = d * (g < 4 ? a & 63 : (c & 15) | ((a >> 6) << 4));
    bias![8 * index + g] = -dmin * (g < 4 ? b & 63 : (c >> 4) | ((b >> 6) << 4));
  }
}

/** After the scales 128 bytes: group g of 32 takes nibbles of bytes 32·⌊g/2⌋ + i, low ones if g is even. */
function decodeQ4(blocks: Uint8Array, at: number, index: number, to: Codes): void {
  scalesQ45(blocks, at, index, to);
  for (let pair = 0; pair < 4; pair++) {
    const from = at + 16 + 32 * pair;
    const even = 128 * index + 32 * pair;
    for (let i = 0; i < 16; i++) {
      const a = blocks[from + 2 * i]!;
      const b = blocks[from + 2 * i + 1]!;
      to.q[even + i] = (a & 15) | (b << 4);
      to.q[even + 16 + i] = (a >> 4) | (b & 240);
    }
  }
}

/** As Q4_K, but between scales and nibbles 32 bytes of fifth bits: bit g of byte i is that of element i of group g. */
function decodeQ5(blocks: Uint8Array, at: number, index: number, to: Codes): void {
  scalesQ45(blocks, at, index, to);
  for (let g = 0; g < 8; g++) {
    const from = at + 48 + 32 * (g >> 1);
    const shift = 4 * (g & 1);
    const out = BLOCK * index + 32 * g;
    for (let i = 0; i < 32; i++)
      to.q[out + i] = ((blocks[from + i]! >> shift) & 15) | (((blocks[at + 16 + i]! >> g) & 1) << 4);
  }
}

/**
 * 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, an f16 d. Of each half of 128, quarter k takes
 * nibbles of bytes 32·(k mod 2) + i, low ones if k < 2, and pair k of byte i: x = (d · scale) · (q − 32).
 * Codes are stored as q + 96, so that the canonical −128 comes out.
 */
function decodeQ6(blocks: Uint8Array, at: number, index: number, to: Codes): void {
  const d = f16(blocks, at + 208);
  for (let g = 0; g < 16; g++) to.scale[16 * index + g] = d * ((blocks[at + 192 + g]! << 24) >> 24);
  for (let quarter = 0; quarter < 8; quarter++) {
    const k = quarter & 3;
    const half = quarter >> 2;
    const low = at + 64 * half + 32 * (k & 1);
    const high = at + 128 + 32 * half;
    const shift = 4 * (k >> 1);
    const out = BLOCK * index + 32 * quarter;
    for (let i = 0; i < 32; i++) {
      const q = ((blocks[low + i]! >> shift) & 15) | (((blocks[high + i]! >> (2 * k)) & 3) << 4);
      to.q[out + i] = q + 96;
    }
  }
}
