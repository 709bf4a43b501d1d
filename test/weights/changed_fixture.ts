/** A fixture whose files are changed: a tensor in another dtype, one more, one less. */
import type { JsonObject } from '../../src/types.ts';
import { stringifyJson } from '../../src/weights/json.ts';
import { files } from './files.ts';
import { type RawTensor, rawFixture, safetensors } from './reexport.ts';

/** A config.json. Infinity stays what it is. */
export const json = (value: JsonObject) => new TextEncoder().encode(stringifyJson(value));
export const { config, tensors } = rawFixture('granite-hybrid');
/** A matrix of the fixture. */
export const MODULE = 'model.layers.0.mamba.in_proj';
export const WEIGHT = tensors[`${MODULE}.weight`]!;
const BYTES: Readonly<Record<string, number>> = { F32: 4, I32: 4, U32: 4, F16: 2, BF16: 2, I64: 8 };

export const f32 = (shape: number[], ...values: number[]): RawTensor => {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return { dtype: 'F32', shape, data };
};
/** A tensor of zeros. */
export const blank = (dtype: string, ...shape: number[]): RawTensor => {
  const count = shape.reduce((a, b) => a * b, 1);
  return { dtype, shape, data: new Uint8Array(count * (BYTES[dtype] ?? 1)) };
};

/** The fixture with tensors added, changed or (null) left out, and more in its config. */
export async function folder(changed: Record<string, RawTensor | null>, more: JsonObject = {}) {
  const all = Object.entries({ ...tensors, ...changed }).filter(([, tensor]) => tensor !== null);
  const file = await safetensors(Object.fromEntries(all) as Record<string, RawTensor>);
  return files({ 'model.safetensors': file, 'config.json': json({ ...config, ...more }) });
}
