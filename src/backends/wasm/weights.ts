import { EdgeError } from '../../errors.ts';
import type { Tensor } from '../../types.ts';
import type { Layout } from './layout.ts';
import { packRows } from './pack.ts';

/** The weights in memory, while they are uploaded. */
export class Weights {
  private readonly missing = new Map<string, number>(); // values not yet uploaded, by weight

  constructor(
    private readonly buffer: ArrayBufferLike,
    private readonly layout: Layout,
  ) {
    for (const [name, { shape }] of Object.entries(layout.program.weights))
      this.missing.set(
        name,
        shape.reduce((a, b) => a * b, 1),
      );
  }

  upload(name: string, row: number, tensor: Tensor): void {
    const spec = this.layout.program.weights[name];
    const missing = this.missing.get(name);
    if (!spec || missing === undefined) throw fault(`upload of '${name}', which the program does not read`);
    const count = tensor.rows * tensor.cols;
    const cols = spec.shape.length > 1 ? spec.shape[1]! : tensor.cols;
    if (tensor.cols !== cols || count > missing || row * cols + count > spec.shape.reduce((a, b) => a * b, 1))
      throw fault(`rows ${row}+${tensor.rows} × ${tensor.cols} do not fit '${name}' [${spec.shape}]`);
    if (spec.role === 'vector') this.uploadVector(name, spec.shape, row, tensor);
    else this.uploadLinear(name, row, tensor);
    this.missing.set(name, missing - count);
  }

  /** f32[n] as it is; [channels, k] transposed, so that taps of neighbouring channels lie together. */
  private uploadVector(name: string, shape: readonly number[], row: number, tensor: Tensor): void {
    if (!('data' in tensor) || tensor.format.dtype !== 'f32') throw fault(`vector '${name}' is not f32`);
    const values = tensor.data as Float32Array;
    const at = this.layout.vectors.get(name)!;
    const [channels, k = 1] = shape as [number, number?];
    const stored = new Float32Array(this.buffer, at, channels * k); // [k, channels]
    if (shape.length === 1) stored.set(values, row * tensor.cols);
    else
      for (let i = 0; i < values.length; i++)
        stored[(i % k) * channels + row + Math.floor(i / k)] = values[i]!;
  }

  private uploadLinear(name: string, row: number, tensor: Tensor): void {
    const { offset, packed } = this.layout.linears.get(name)!;
    packRows(this.buffer, offset, packed, row, tensor);
  }

  /** Throws INTERNAL if a weight is not there in full. */
  checkComplete(): void {
    for (const [name, missing] of this.missing)
      if (missing > 0) throw fault(`${missing} values of weight '${name}' were not uploaded`);
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WASM weights: ${message}`);
}
