/** binary16, bfloat16 and FP8. Conversions to f32 are exact, conversions from it round to nearest, ties to even. */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
let table: Float32Array | undefined; // [65536], value of every binary16

function f16Table(): Float32Array {
  if (table) return table;
  table = new Float32Array(65536);
  const words = new Uint32Array(table.buffer);
  for (let h = 0; h < 65536; h++) {
    const sign = (h & 0x8000) << 16;
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    if (exponent === 0) {
      float[0] = fraction * 2 ** -24;
      words[h] = bits[0]! | sign;
    } else words[h] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
  }
  return table;
}

/** The value of binary16 bits. */
export function f16ToNumber(half: number): number {
  return f16Table()[half]!;
}

/** The binary16 bits nearest to the f32 nearest to `value`. */
export function numberToF16(value: number): number {
  float[0] = value;
  return f16Of(bits[0]!);
}

/** binary16 bits of f32 bits. */
function f16Of(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((word >>> 13) & 0x3ff); // NaN stays NaN, its payload too
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and up
  if (magnitude >= 0x38800000)
    return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
  // Subnormal: adding 1/2 leaves 24 fraction bits after the point, rounded as f32 addition rounds.
  bits[0] = magnitude;
  float[0] = float[0]! + 0.5;
  return sign | (bits[0]! - 0x3f000000);
}

/** Values of binary16 bits, into `out` if it is given. */
export function f16ToF32(
  halves: Uint16Array,
  out: Float32Array = new Float32Array(halves.length),
): Float32Array {
  const values = f16Table();
  for (let i = 0; i < halves.length; i++) out[i] = values[halves[i]!]!;
  return out;
}

export function f32ToF16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = f16Of(words[i]!);
  return out;
}

/** Values of bfloat16 bits, the upper halves of f32, into `out` if it is given. */
export function bf16ToF32(
  halves: Uint16Array,
  out: Float32Array = new Float32Array(halves.length),
): Float32Array {
  const words = new Uint32Array(out.buffer, out.byteOffset, halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return out;
}

export type Fp8 = 'F8_E4M3' | 'F8_E5M2';

let e4m3: Uint16Array | undefined; // [256], binary16 bits of every E4M3

/** binary16 bits of FP8 values; all of them have their place there. E4M3 is that of `float8_e4m3fn`: no infinities. */
export function f8ToF16(bytes: Uint8Array, dtype: Fp8): Uint16Array {
  if (dtype === 'F8_E5M2') return Uint16Array.from(bytes, (byte) => byte << 8);
  e4m3 ??= Uint16Array.from({ length: 256 }, (_, byte) => e4m3ToF16(byte));
  const out = new Uint16Array(bytes.length);
  for (let i = 0; i < out.length; i++) out[i] = e4m3[bytes[i]!]!;
  return out;
}

function e4m3ToF16(byte: number): number {
  const sign = (byte & 128) << 8;
  const exponent = (byte >> 3) & 15;
  const fraction = byte & 7;
  if ((byte & 127) === 127) return sign | 0x7e00; // NaN
  if (exponent === 0) return sign | numberToF16(fraction * 2 ** -9);
  return sign | ((exponent + 8) << 10) | (fraction << 7);
}
