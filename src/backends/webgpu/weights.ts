import { EdgeError } from '../../errors.ts';
import type { Tensor } from '../../types.ts';
import { linearBytes, packLinear } from './linear.ts';
import type { Plan } from './plan.ts';

/** The weights on their way to the GPU, block by block. */
export class Weights {
  private readonly missing = new Map<string, number>(); // values not yet uploaded, by weight

  constructor(
    private readonly plan: Plan,
    private readonly write: (buffer: string, offset: number, data: ArrayBufferView<ArrayBuffer>) => void,
  ) {
    for (const [name, { shape }] of Object.entries(plan.program.weights))
      this.missing.set(
        name,
        shape.reduce((a, b) => a * b, 1),
      );
  }

  upload(name: string, row: number, tensor: Tensor): void {
    const spec = this.plan.program.weights[name];
    const missing = this.missing.get(name);
    if (!spec || missing === undefined) throw fault(`upload of '${name}', which the program does not read`);
    const count = tensor.rows * tensor.cols;
    const cols = spec.shape.length > 1 ? spec.shape[1]! : tensor.cols;
    if (tensor.cols !== cols || count > missing || row * cols + count > spec.shape.reduce((a, b) => a * b, 1))
      throw fault(`rows ${row}+${tensor.rows} × ${tensor.cols} do not fit '${name}' [${spec.shape}]`);
    if (spec.role === 'vector') this.uploadVector(name, row, tensor);
    else this.uploadLinear(name, row, tensor);
    this.missing.set(name, missing - count);
  }

  /** Throws INTERNAL if a weight is missing. */
  checkComplete(): void {
    for (const [name, values] of this.missing)
      if (values > 0) throw fault(`weight '${name}' was not uploaded in full`);
  }

  private uploadVector(name: string, row: number, tensor: Tensor): void {
    if (!('data' in tensor) || tensor.format.dtype !== 'f32') throw fault(`vector '${name}' is not f32`);
    const values = Float32Array.from(tensor.data);
    for (const begin of this.plan.vectors.get(name) ?? [])
      this.write('vectors', begin + 4 * row * tensor.cols, values);
  }

  /** A block of rows lies in one part: parts are whole blocks. */
  private uploadLinear(name: string, row: number, tensor: Tensor): void {
    const { layout, parts } = this.plan.linears.get(name)!;
    if (JSON.stringify(tensor.format) !== JSON.stringify(layout.format))
      throw fault(`'${name}' came as ${JSON.stringify(tensor.format)}`);
    const part = parts.find(({ first, rows }) => row >= first && row + tensor.rows <= first + rows);
    if (!part) throw fault(`rows ${row}+${tensor.rows} of '${name}' lie in no single part`);
    const { words, numbers } = packLinear(layout, tensor);
    const before = linearBytes(layout, row - part.first);
    this.write(part.words, before.words, words);
    if (part.numbers) this.write(part.numbers, before.numbers, numbers);
  }
}

function fault(message: string): EdgeError {
  return new EdgeError('INTERNAL', `WebGPU weights: ${message}`);
}
