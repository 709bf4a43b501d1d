import { EdgeError } from '../errors.ts';
import type { WeightSpec } from '../ops/program.ts';
import type { Quantize, WeightFormat } from '../types.ts';
import { Q4, Q8 } from './quantize.ts';
import { unreadable } from './stored.ts';
import type { Checkpoint, StoredTensor, WeightSource } from './types.ts';

type ByName<T> = Readonly<Record<string, T>>;

/** The loaded form of each weight of a program. */
export interface WeightPlan {
  formats: ByName<WeightFormat>;
  parameters: number; // a tensor that serves several weights counts once
  bytes: number; // to be read from the checkpoint
}

const F32: WeightFormat = { kind: 'float', dtype: 'f32' };
const SMALL = 200e6; // parameters; below, 8 bits are the default

/**
 * Chooses the form of every weight: vectors f32, tensors that are quantized already as they are, other matrices as
 * `quantize` says. Without it, those get 8 bits in models below 200 M parameters and in files that hold quantized
 * tensors too (its maker left the others out for a reason), else 4 bits.
 * @throws INVALID_FILE for a tensor that is missing or of another shape, UNSUPPORTED_MODEL for a dtype without reader
 *   and for tensors that would change a weight but are not read
 */
export function weightFormats(
  checkpoint: Checkpoint,
  sources: ByName<WeightSource>,
  weights: ByName<WeightSpec>,
  quantize?: Quantize,
): WeightPlan {
  refuseStrays(checkpoint, sources);
  const stored = new Map<string, StoredTensor>();
  let bytes = 0;
  let parameters = 0;
  let mixed = false;
  const seen = new Set<StoredTensor>();
  for (const [name, spec] of Object.entries(weights)) {
    const tensor = storedTensor(checkpoint, sources, name, spec);
    stored.set(name, tensor);
    bytes += tensor.bytes;
    mixed ||= tensor.format?.kind === 'quant';
    if (!seen.has(tensor)) parameters += tensor.rows * tensor.cols;
    seen.add(tensor);
  }
  const choice = quantize ?? (mixed || parameters < SMALL ? 'q8' : 'q4');
  const formats: Record<string, WeightFormat> = {};
  for (const [name, tensor] of stored) {
    if (!tensor.format) throw unreadable(tensor);
    const keep = tensor.format.kind === 'quant' || choice === 'none';
    const matrix = keep ? tensor.format : choice === 'q4' ? Q4 : Q8;
    formats[name] = weights[name]!.role === 'vector' ? F32 : matrix;
  }
  return { formats, parameters, bytes };
}

/** Refuses tensors that belong to a weight but are not read: scales, adapters and the like would change it. */
function refuseStrays({ name, tensors }: Checkpoint, sources: ByName<WeightSource>): void {
  const used = new Set(Object.values(sources).map(({ tensor }) => tensor));
  for (const [stray, { dtype, shape }] of tensors) {
    if (used.has(stray)) continue;
    for (let dot = stray.indexOf('.'); dot !== -1; dot = stray.indexOf('.', dot + 1)) {
      const module = stray.slice(0, dot);
      const weight = [module, `${module}.weight`].find((candidate) => used.has(candidate));
      if (weight !== undefined)
        throw new EdgeError(
          'UNSUPPORTED_MODEL',
          `${name} has '${stray.slice(0, 100)}', ${dtype} [${shape}], beside '${weight}': it may change that weight, and is not ` +
            'read; merge it into the weight, or leave it out if it is of no use',
        );
    }
  }
}

/** The tensor that a weight comes from, its shape checked up to dimensions of 1. */
export function storedTensor(
  checkpoint: Checkpoint,
  sources: ByName<WeightSource>,
  name: string,
  { shape }: WeightSpec,
): StoredTensor {
  const source = sources[name];
  if (!source) throw new EdgeError('INTERNAL', `Weight '${name}' has no source`);
  const tensor = checkpoint.tensors.get(source.tensor);
  if (!tensor)
    throw new EdgeError(
      'INVALID_FILE',
      `${checkpoint.name} has no tensor '${source.tensor}' [${shape}]; config and weights must come from the same model`,
    );
  const [found, expected] = [tensor.shape, shape].map((dims) => dims.filter((n) => n !== 1).join());
  if (found !== expected)
    throw new EdgeError(
      'INVALID_FILE',
      `${tensor.file}: expected tensor '${source.tensor}' to be [${shape}], found [${tensor.shape}]; ` +
        'config and weights must come from the same model',
    );
  return tensor;
}
