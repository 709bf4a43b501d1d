import { EdgeError } from '../../errors.ts';
import type { Program, WeightSpec } from '../../ops/program.ts';
import type { Tensor } from '../../types.ts';

/** Holds the blocks of weights that arrive to what a program reads, and knows what is still to come. */
export class Uploads {
  private readonly missing = new Map<string, number>(); // values not yet uploaded, by weight

  constructor(
    private readonly where: string, // of messages: 'WASM weights'
    private readonly specs: Program['weights'],
  ) {
    for (const [name, { shape }] of Object.entries(specs)) this.missing.set(name, elements(shape));
  }

  /** Counts rows [row, row + tensor.rows) of a weight. Throws INTERNAL for those that have no place in it. */
  accept(name: string, row: number, tensor: Tensor): WeightSpec {
    const spec = this.specs[name];
    const missing = this.missing.get(name);
    if (!spec || missing === undefined)
      throw this.fault(`upload of '${name}', which the program does not read`);
    const count = tensor.rows * tensor.cols;
    const cols = spec.shape.length > 1 ? spec.shape[1]! : tensor.cols;
    if (tensor.cols !== cols || count > missing || row * cols + count > elements(spec.shape))
      throw this.fault(`rows ${row}+${tensor.rows} × ${tensor.cols} do not fit '${name}' [${spec.shape}]`);
    this.missing.set(name, missing - count);
    return spec;
  }

  /** The values of a vector weight. Throws INTERNAL unless they are f32. */
  vector(name: string, tensor: Tensor): Float32Array {
    if (!('data' in tensor) || tensor.format.dtype !== 'f32') throw this.fault(`vector '${name}' is not f32`);
    return tensor.data as Float32Array;
  }

  /** Throws INTERNAL if a weight is not there in full. */
  checkComplete(): void {
    for (const [name, missing] of this.missing)
      if (missing > 0) throw this.fault(`${missing} values of weight '${name}' were not uploaded`);
  }

  private fault(message: string): EdgeError {
    return new EdgeError('INTERNAL', `${this.where}: ${message}`);
  }
}

function elements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
