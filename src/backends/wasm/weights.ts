import type { Tensor } from '../../types.ts';
import { Uploads } from '../common/uploads.ts';
import type { Layout } from './layout.ts';
import type { Kernels } from './module.ts';
import { packRows } from './pack.ts';
import { Packer } from './packer.ts';
import type { Team } from './threads.ts';

/** The weights in memory, while they are uploaded. */
export class Weights {
  private readonly uploads: Uploads;
  private readonly packer: Packer;

  constructor(
    private readonly buffer: ArrayBufferLike,
    private readonly layout: Layout,
    kernels: Kernels,
    team: Team | null,
  ) {
    this.uploads = new Uploads('WASM weights', layout.program.weights);
    this.packer = new Packer(buffer, layout, kernels, team);
  }

  get staging(): readonly [Uint8Array, Uint8Array] | undefined {
    return this.packer.staging;
  }

  /** Answers whether a number among them is not finite, unless that is left to the caller. */
  upload(name: string, row: number, tensor: Tensor): boolean | undefined {
    const { role, shape } = this.uploads.accept(name, row, tensor);
    if (role === 'vector') {
      this.uploadVector(name, shape, row, tensor);
      return undefined;
    }
    const { offset, packed } = this.layout.linears.get(name)!;
    return packRows(this.buffer, offset, packed, row, tensor, this.packer);
  }

  /** Throws INTERNAL if a weight is not there in full. */
  checkComplete(): void {
    this.uploads.checkComplete();
  }

  /** f32[n] as it is; [channels, k] transposed, so that taps of neighbouring channels lie together. */
  private uploadVector(name: string, shape: readonly number[], row: number, tensor: Tensor): void {
    const values = this.uploads.vector(name, tensor);
    const at = this.layout.vectors.get(name)!;
    const [channels, k = 1] = shape as [number, number?];
    const stored = new Float32Array(this.buffer, at, channels * k); // [k, channels]
    if (shape.length === 1) stored.set(values, row * tensor.cols);
    else
      for (let i = 0; i < values.length; i++)
        stored[(i % k) * channels + row + Math.floor(i / k)] = values[i]!;
  }
}
