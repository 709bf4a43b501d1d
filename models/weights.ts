import { EdgeError } from '../src/errors.ts';
import type { WeightSpec } from '../src/ops/program.ts';
import type { RowMultiplier, TensorShape, WeightSource } from '../src/weights/types.ts';

/** Binds the weights of a program to the tensors of a checkpoint, and holds their shapes to the config's. */
export class WeightBinder {
  readonly specs: Record<string, WeightSpec> = {};
  readonly sources: Record<string, WeightSource> = {};

  constructor(
    private readonly architecture: string,
    private readonly tensors: ReadonlyMap<string, TensorShape>,
  ) {}

  /** A matrix [out, in], which may be quantized. Returns the weight's name, as all of these do. */
  matrix(name: string, tensor: string, out: number, width: number): string {
    return this.bind(name, tensor, { shape: [out, width], role: 'linear' });
  }

  /** A vector [n]. */
  vector(name: string, tensor: string, n: number): string {
    return this.bind(name, tensor, { shape: [n], role: 'vector' });
  }

  /** Multiplies consecutive rows of a weight as it is loaded. */
  multiply(name: string, multipliers: readonly RowMultiplier[]): void {
    if (multipliers.some(({ by }) => by !== 1)) this.sources[name] = { ...this.sources[name]!, multipliers };
  }

  /** The taps of a depthwise convolution, stored [channels, 1, k] or [channels, k]. */
  taps(name: string, tensor: string, channels: number, k: number): string {
    return this.bind(name, tensor, { shape: [channels, k], role: 'vector' });
  }

  /** A = −exp(A_log), [nheads]. */
  negExp(name: string, tensor: string, nheads: number): string {
    this.vector(name, tensor, nheads);
    this.sources[name] = { tensor, transform: 'neg_exp' };
    return name;
  }

  /** A bias [n] that is there exactly if the config says so. */
  bias(name: string, tensor: string, n: number, wanted: boolean): string | undefined {
    if (wanted) return this.vector(name, tensor, n);
    if (this.tensors.has(tensor))
      throw this.invalid(`has '${tensor}', but its config says that there is no bias`);
    return undefined;
  }

  has(tensor: string): boolean {
    return this.tensors.has(tensor);
  }

  /** The first of several spellings that the checkpoint has. */
  spelling(...tensors: string[]): string {
    const found = tensors.find((tensor) => this.tensors.has(tensor));
    if (!found) throw this.invalid(`has no tensor ${tensors.map((tensor) => `'${tensor}'`).join(' or ')}`);
    return found;
  }

  /** Refuses tensors of layers that the config does not count. `prefix` comes before the layer's index. */
  noLayersBeyond(prefix: string, count: number): void {
    for (const tensor of this.tensors.keys())
      if (tensor.startsWith(prefix) && Number.parseInt(tensor.slice(prefix.length), 10) >= count)
        throw this.invalid(`has '${tensor}', but its config counts ${count} layers`);
  }

  private bind(name: string, tensor: string, spec: WeightSpec): string {
    const found = this.tensors.get(tensor);
    if (!found) throw this.invalid(`has no tensor '${tensor}' [${spec.shape}], which its config asks for`);
    const [a, b] = [found.shape, spec.shape].map((shape) => shape.filter((n) => n !== 1).join(', '));
    if (a !== b)
      throw this.invalid(`has '${tensor}' as [${found.shape}], but its config asks for [${spec.shape}]`);
    this.specs[name] = spec;
    this.sources[name] = { tensor };
    return name;
  }

  private invalid(fault: string): EdgeError {
    return new EdgeError(
      'INVALID_FILE',
      `${this.architecture}: the checkpoint ${fault}; config and weights must come from the same model`,
    );
  }
}
