import type { Tensor, WeightSink } from '../../types.ts';
import { holdsNonFinite } from '../../weights/non_finite.ts';
import { Uploads } from '../common/uploads.ts';
import type { Layout } from './layout.ts';
import type { Kernels } from './module.ts';
import { packRows, type TilePacker } from './pack_js.ts';
import { Packer } from './pack_wasm.ts';
import type { ThreadPool } from './thread_pool.ts';

/** The weights in memory, while they are uploaded. */
export class Weights {
  private readonly uploads: Uploads;
  private readonly packer: Packer;

  constructor(
    private readonly buffer: ArrayBufferLike,
    private readonly layout: Layout,
    kernels: Kernels,
    pool: ThreadPool | null,
  ) {
    this.uploads = new Uploads('WASM weights', layout.program.weights);
    this.packer = new Packer(buffer, layout, kernels, pool);
  }

  /** Throws INTERNAL for a weight that the program does not read. */
  sink(name: string): WeightSink {
    const { role, shape } = this.uploads.spec(name);
    if (role === 'vector')
      return {
        put: (row, tensor) =>
          this.uploads.accept(name, row, tensor, () => this.writeVector(name, shape, row, tensor)),
      };
    const { offset, packed } = this.layout.linears.get(name)!;
    const put = (row: number, tensor: Tensor, packer: TilePacker) =>
      this.uploads.accept(name, row, tensor, () =>
        packRows(this.buffer, offset, packed, row, tensor, packer),
      );
    return {
      put: (row, tensor) => put(row, tensor, this.packer),
      place: (bytes) => {
        const place = this.packer.takePlace(bytes);
        return place && { bytes: place.bytes, put: (row, tensor) => put(row, tensor, place) };
      },
    };
  }

  /** Where the first number is that is not finite, or null. Throws INTERNAL if a weight is not there in full. */
  finish(): string | null {
    return this.uploads.finish();
  }

  /** f32[n] as it is; [channels, k] transposed, so that taps of neighbouring channels lie together. */
  private writeVector(name: string, shape: readonly number[], row: number, tensor: Tensor): boolean {
    const values = this.uploads.vector(name, tensor);
    const at = this.layout.vectors.get(name)!;
    const [channels, k = 1] = shape as [number, number?];
    const stored = new Float32Array(this.buffer, at, channels * k); // [k, channels]
    if (shape.length === 1) stored.set(values, row * tensor.cols);
    else
      for (let i = 0; i < values.length; i++)
        stored[(i % k) * channels + row + Math.floor(i / k)] = values[i]!;
    return holdsNonFinite(tensor);
  }
}
