/**
 * A running checksum of 128 bits, 16 bytes at a time: the rounds of MurmurHash3 (Austin Appleby, public domain) on
 * four lanes of their own. Each round is a bijection of the lane and of the word, so that damage within 4 bytes is
 * always found, and any other all but certainly. It is no defence against someone who forges a file.
 */
export class Checksum {
  private readonly h: Uint32Array; // [4]
  private words = 0;

  /** @param seed what was summed before, so that parts of different files can't be joined */
  constructor(seed: Uint8Array = new Uint8Array(16)) {
    this.h = new Uint32Array(seed.slice(0, 16).buffer);
  }

  /** @param bytes a multiple of 16, at any offset */
  update(bytes: Uint8Array): this {
    if (bytes.length % 16 !== 0) throw new RangeError(`${bytes.length} bytes are no multiple of 16`);
    const whole = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const words = new Int32Array(whole.buffer, whole.byteOffset, whole.length / 4);
    let [a, b, c, d] = this.h as unknown as [number, number, number, number];
    for (let i = 0; i < words.length; i += 4) {
      a = round(a, words[i]!);
      b = round(b, words[i + 1]!);
      c = round(c, words[i + 2]!);
      d = round(d, words[i + 3]!);
    }
    this.h.set([a, b, c, d]);
    this.words += words.length;
    return this;
  }

  /** [16] of what was summed so far. */
  digest(): Uint8Array {
    const h = this.h.map((lane) => finish(lane ^ this.words));
    h[0]! += h[1]! + h[2]! + h[3]!;
    for (let lane = 1; lane < 4; lane++) h[lane]! += h[0]!;
    return new Uint8Array(h.buffer);
  }
}

function round(h: number, word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51);
  const x = h ^ Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
