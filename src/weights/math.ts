const LN2_HIGH = 6.931471803691238e-1; // its last 21 bits are zero: k · LN2_HIGH is exact
const LN2_LOW = 1.9082149292705877e-10;
const words = new DataView(new ArrayBuffer(8));

/**
 * eˣ within 1 ulp, the same bits on every engine: only + − * / decide it.
 * x = k·ln 2 + r, |r| ≤ ln 2 / 2; eʳ as in fdlibm's e_exp.c (Remez polynomial of r·coth(r/2)).
 */
export function exp(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x > 709.782712893384) return Number.POSITIVE_INFINITY;
  if (x < -745.1332191019411) return 0;
  const k = Math.floor(x * Math.LOG2E + 0.5);
  const high = x - k * LN2_HIGH;
  const low = k * LN2_LOW;
  const r = high - low;
  const t = r * r;
  const c =
    r -
    t *
      (1.6666666666666602e-1 +
        t *
          (-2.7777777777015593e-3 +
            t * (6.613756321437934e-5 + t * (-1.6533902205465252e-6 + t * 4.1381367970572385e-8))));
  const y = 1 - (low - (r * c) / (2 - c) - high);
  return k >= -1021 && k < 1024
    ? y * power(k)
    : k < 0
      ? y * power(k + 1000) * power(-1000)
      : y * 2 * power(k - 1);
}

/** 2ᵏ for −1022 ≤ k ≤ 1023. */
function power(k: number): number {
  words.setUint32(0, (k + 1023) << 20);
  words.setUint32(4, 0);
  return words.getFloat64(0);
}

/** A = −exp(A_log), in place, rounded once to f32. */
export function negExp(values: Float32Array): Float32Array {
  for (let i = 0; i < values.length; i++) values[i] = -exp(values[i]!);
  return values;
}
