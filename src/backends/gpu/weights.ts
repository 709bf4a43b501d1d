import { EdgeError } from '../../errors.ts';
import type { Tensor, WeightSink } from '../../types.ts';
import { fullFormatName, sameFormat } from '../../weights/format.ts';
import { holdsNonFinite } from '../../weights/non_finite.ts';
import { Uploads } from '../common/uploads.ts';
import { linearBytes, packLinear } from './linear/layout.ts';
import type { GpuPlan } from './plan.ts';

/** The weights on their way to the GPU, block by block. */
export class Weights {
  private readonly uploads: Uploads;

  constructor(
    private readonly plan: GpuPlan,
    private readonly write: (buffer: string, offset: number, data: ArrayBufferView<ArrayBuffer>) => void,
  ) {
    this.uploads = new Uploads('GPU weights', plan.program.weights);
  }

  /** Throws INTERNAL for a weight that the program does not read. */
  sink(name: string): WeightSink {
    const { role } = this.uploads.spec(name);
    return {
      put: (row, tensor) =>
        this.uploads.accept(name, row, tensor, () => {
          if (role === 'vector') this.putVector(name, row, tensor);
          else this.putLinear(name, row, tensor);
          return holdsNonFinite(tensor);
        }),
    };
  }

  /** Where the first number is that is not finite, or null. Throws INTERNAL if a weight is not there in full. */
  finish(): string | null {
    return this.uploads.finish();
  }

  private putVector(name: string, row: number, tensor: Tensor): void {
    const values = Float32Array.from(this.uploads.vector(name, tensor));
    for (const begin of this.plan.vectors.get(name) ?? [])
      this.write('vectors', begin + 4 * row * tensor.cols, values);
  }

  /** A block of rows lies in one part: parts are whole blocks. */
  private putLinear(name: string, row: number, tensor: Tensor): void {
    const { layout, parts } = this.plan.linears.get(name)!;
    if (!sameFormat(tensor.format, layout.format))
      throw fault(`'${name}' came as ${fullFormatName(tensor.format)}`);
    const part = parts.find(({ first, rows }) => row >= first && row + tensor.rows <= first + rows);
    if (!part) throw fault(`rows ${row}+${tensor.rows} of '${name}' lie in no single part`);
    const { words, scales } = packLinear(layout, tensor);
    const before = linearBytes(layout, row - part.first);
    this.write(part.words, before.words, words);
    if (part.scales) this.write(part.scales, before.scales, scales);
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `GPU weights: ${message}`);
}
