/** Writes the u32 and f32 words of a C struct, in order. */
export class Words {
  private readonly buffer = new ArrayBuffer(256);
  private readonly u = new Uint32Array(this.buffer);
  private readonly f = new Float32Array(this.buffer);
  private length = 0;

  /** Unsigned words, or negative ones in two's complement. */
  u32(...values: number[]): this {
    for (const value of values) this.u[this.next()] = value;
    return this;
  }

  f32(...values: number[]): this {
    for (const value of values) this.f[this.next()] = value;
    return this;
  }

  get words(): Uint32Array {
    return this.u.subarray(0, this.length);
  }

  private next(): number {
    if (this.length === this.u.length) throw new RangeError('more words than an argument struct may have');
    return this.length++;
  }
}
