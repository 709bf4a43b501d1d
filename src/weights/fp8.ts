import { EdgeError } from '../errors.ts';
import type { FloatTensor } from '../types.ts';
import { toF32 } from './dequantize.ts';
import { elementCount } from './shape.ts';
import type { StoredTensor } from './types.ts';

/** Names of the scale of an FP8 weight in published checkpoints; all of them multiply. */
const SCALES = ['weight_scale', 'weight_scale_inv'];
/** Names of scales of activations or of the cache of keys and values: not needed, ours are not FP8. */
const OTHERS = /\.(input_scale|input_scale_ub|activation_scale|output_scale|k_scale|v_scale)$/;

/**
 * FP8 weights times their scales: X.weight (F8_E4M3 or F8_E5M2) beside X.weight_scale or X.weight_scale_inv, one for
 * the tensor, one a row, or one a block of `block` [rows, cols]. Other tensors stay as they are.
 * @throws INVALID_FILE
 */
export function joinFp8(
  tensors: ReadonlyMap<string, StoredTensor>,
  block: readonly [number, number] | null,
): Map<string, StoredTensor> {
  const joined = new Map<string, StoredTensor>();
  const used = new Set<string>();
  for (const [name, tensor] of tensors) {
    if (OTHERS.test(name)) continue;
    const module = name.endsWith('.weight') && tensor.dtype.startsWith('F8_') ? name.slice(0, -7) : null;
    const scale = SCALES.map((kind) => `${module}.${kind}`).find((name) => tensors.has(name));
    if (module !== null && scale !== undefined) used.add(scale);
    const whole = module !== null && scale !== undefined;
    joined.set(name, whole ? scaled(tensor, tensors.get(scale)!, block) : tensor);
  }
  for (const name of used) joined.delete(name);
  return joined;
}

function scaled(
  weight: StoredTensor,
  scale: StoredTensor,
  block: readonly [number, number] | null,
): StoredTensor {
  const { rows, cols } = weight;
  const [height, width] = blockOf(weight, scale, block);
  const across = Math.ceil(cols / width);
  const format = { kind: 'float', dtype: 'f32' } as const;
  let scales: Promise<Float32Array> | undefined;
  const whole = async (signal?: AbortSignal) => toF32(await scale.read(0, scale.rows, signal));
  return {
    name: weight.name,
    file: weight.file,
    dtype: weight.dtype,
    shape: weight.shape,
    rows,
    cols,
    bytes: weight.bytes + scale.bytes,
    format,
    digest: async (signal) => `${await weight.digest(signal)}${await scale.digest(signal)}`,
    async read(row, count, signal): Promise<FloatTensor> {
      scales ??= whole(signal);
      scales.catch(() => {
        scales = undefined; // aborted: the next reader asks again
      });
      const [codes, by] = await Promise.all([weight.read(row, count, signal), scales]);
      const data = Float32Array.from(toF32(codes)); // [count, cols]
      for (let r = 0, i = 0; r < count; r++) {
        const first = Math.floor((row + r) / height) * across;
        for (let b = 0; b < across; b++)
          for (const end = r * cols + Math.min(cols, (b + 1) * width); i < end; i++)
            data[i]! *= by[first + b]!;
      }
      return { format, rows: count, cols, data };
    },
  };
}

/** Rows and columns that share a scale. */
function blockOf(
  weight: StoredTensor,
  scale: StoredTensor,
  block: readonly [number, number] | null,
): readonly [number, number] {
  const { rows, cols } = weight;
  const count = elementCount(scale.shape);
  if (scale.format?.kind === 'float' && weight.shape.length === 2) {
    if (count === 1) return [rows, cols];
    if (count === rows && scale.shape[0] === rows) return [1, cols];
    const [height, width] = block ?? [0, 0];
    if (block && `${scale.shape}` === `${Math.ceil(rows / height)},${Math.ceil(cols / width)}`) return block;
  }
  throw new EdgeError(
    'INVALID_FILE',
    `${weight.file}: expected '${scale.name}' to have one float for '${weight.name}' [${weight.shape}], one a row` +
      `${block ? `, or one a block of ${block.join(' × ')}` : ''}, found ${scale.dtype} [${scale.shape}]`,
  );
}
