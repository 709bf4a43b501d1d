import { f16ToNumber } from '../../src/backends/reference/dequantize.ts';
import type { JsonObject } from '../../src/types.ts';

export interface TestTensor {
  dtype: string;
  shape: number[];
  values: Float32Array | Int32Array; // [...shape]
}

/** Reads a small, trusted safetensors file as a whole; the library's own reader is src/weights. */
export function parseSafetensors(bytes: Uint8Array): Map<string, TestTensor> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begin = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, begin))) as JsonObject;
  const tensors = new Map<string, TestTensor>();
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets } = value as unknown as {
      dtype: string;
      shape: number[];
      data_offsets: [number, number];
    };
    const at = (offset: number) => begin + data_offsets[0] + offset;
    const count = shape.reduce((a, b) => a * b, 1);
    const read: Record<string, (i: number) => number> = {
      F32: (i) => view.getFloat32(at(4 * i), true),
      I32: (i) => view.getInt32(at(4 * i), true),
      I64: (i) => Number(view.getBigInt64(at(8 * i), true)),
      F16: (i) => f16ToNumber(view.getUint16(at(2 * i), true)),
      BF16: (i) => bf16(view.getUint16(at(2 * i), true)),
    };
    if (!read[dtype]) throw new Error(`dtype ${dtype} in a test file`);
    const values = Array.from({ length: count }, (_, i) => read[dtype]!(i));
    const array = dtype.startsWith('I') ? Int32Array.from(values) : Float32Array.from(values);
    tensors.set(name, { dtype, shape, values: array });
  }
  return tensors;
}

const word = new DataView(new ArrayBuffer(4));

function bf16(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}
