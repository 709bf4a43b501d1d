/** A small seeded generator (splitmix32): the same numbers on every engine. */
export class Random {
  private state: number;

  constructor(seed: number | string) {
    this.state = typeof seed === 'number' ? seed >>> 0 : hash(seed);
  }

  u32(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let x = this.state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return (x ^ (x >>> 15)) >>> 0;
  }

  /** In [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (this.u32() / 2 ** 32) * (high - low);
  }

  /** Roughly normal (a sum of four uniform numbers), mean 0, variance `deviation²`, never beyond 3.5 deviations. */
  normal(deviation = 1): number {
    const bits = this.u32();
    const more = this.u32();
    const sum = (bits & 0xffff) + (bits >>> 16) + (more & 0xffff) + (more >>> 16);
    return (sum / 65536 - 2) * Math.sqrt(3) * deviation;
  }

  /** In [0, n). */
  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  floats(count: number, draw: (random: Random, index: number) => number): Float32Array {
    return Float32Array.from({ length: count }, (_, i) => draw(this, i));
  }
}

/** FNV-1a, so that a case's name seeds its data. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
