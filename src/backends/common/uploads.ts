import { EdgeError } from '../../errors.ts';
import type { Program, WeightSpec } from '../../ops/program.ts';
import type { Tensor } from '../../types.ts';
import { elementCount } from '../../weights/shape.ts';

/** Checks the rows that arrive of the weights that a program reads, and knows what is still to come. */
export class Uploads {
  private readonly missing = new Map<string, number>(); // values not yet there, by weight
  private nonFinite: string | null = null; // where the first such number is

  constructor(
    private readonly where: string, // of messages: 'WASM weights'
    private readonly specs: Program['weights'],
  ) {
    for (const [name, { shape }] of Object.entries(specs)) this.missing.set(name, elementCount(shape));
  }

  /** Throws INTERNAL for a weight that the program does not read. */
  spec(name: string): WeightSpec {
    const spec = this.specs[name];
    if (!spec) throw this.fault(`a sink for '${name}', which the program does not read`);
    return spec;
  }

  /**
   * Counts rows [row, row + tensor.rows) of a weight, and has them written; `write` answers whether a number among them
   * is NaN or infinite. Throws INTERNAL for rows that have no place in it.
   */
  accept(name: string, row: number, tensor: Tensor, write: () => boolean): void {
    const { shape } = this.spec(name);
    const missing = this.missing.get(name)!;
    const count = tensor.rows * tensor.cols;
    const cols = shape.length > 1 ? shape[1]! : tensor.cols;
    if (tensor.cols !== cols || count > missing || row * cols + count > elementCount(shape))
      throw this.fault(`rows ${row}+${tensor.rows} × ${tensor.cols} do not fit '${name}' [${shape}]`);
    this.missing.set(name, missing - count);
    if (write())
      this.nonFinite ??= `the weight '${name}' holds NaN or infinity within its rows ${row} to ${row + tensor.rows - 1}`;
  }

  /** The values of a vector weight. Throws INTERNAL unless they are f32. */
  vector(name: string, tensor: Tensor): Float32Array {
    if (!('data' in tensor) || tensor.format.dtype !== 'f32') throw this.fault(`vector '${name}' is not f32`);
    return tensor.data as Float32Array;
  }

  /** Where the first number is that is not finite, or null. Throws INTERNAL if a weight is not there in full. */
  finish(): string | null {
    for (const [name, missing] of this.missing)
      if (missing > 0) throw this.fault(`${missing} values of weight '${name}' are missing`);
    return this.nonFinite;
  }

  private fault(message: string): EdgeError {
    return new EdgeError('INTERNAL', `${this.where}: ${message}`);
  }
}
