import { EdgeError } from '../errors.ts';
import type { JsonObject, QuantTensor, Tensor, WeightFormat } from '../types.ts';
import { bytesOf } from './bytes.ts';
import { containerMetadata, type QuantEntry, siblings } from './container.ts';
import { type Quantizer, roundToNearest } from './quantize.ts';
import { type SafetensorsPiece, safetensorsChunks } from './safetensors.ts';
import type { Checkpoint, StoredTensor } from './types.ts';
import { convert } from './upload.ts';

type QuantFormat = QuantTensor['format'];

const BLOCK = 4 * 2 ** 20; // bytes read at once

/**
 * The bytes of our container, piece by piece: tensors named in `formats` in that form, others as they are (bf16 becomes
 * f32). Memory holds one block.
 */
export function convertCheckpoint(
  checkpoint: Checkpoint,
  formats: ReadonlyMap<string, WeightFormat>,
  {
    config = checkpoint.config,
    metadata = {},
    quantizer = roundToNearest,
    signal,
  }: {
    config?: JsonObject;
    metadata?: Readonly<Record<string, string>>;
    quantizer?: Quantizer;
    signal?: AbortSignal;
  } = {},
): AsyncGenerator<Uint8Array> {
  const quantized = new Map<string, QuantEntry>();
  const pieces: SafetensorsPiece[] = [];
  for (const [name, tensor] of checkpoint.tensors) {
    if (!tensor.format) continue; // integer tables and the like: no program reads them
    const format = formats.get(name) ?? tensor.format;
    if (format.kind !== 'quant') {
      const dtype = formats.has(name) ? format.dtype : floatDtype(tensor);
      pieces.push(floatPiece(name, tensor, dtype, signal));
      continue;
    }
    quantized.set(name, { bits: format.bits, group: format.group, cols: tensor.cols });
    pieces.push(...quantPieces(name, tensor, format, quantizer, signal));
  }
  return safetensorsChunks({ ...containerMetadata(config, quantized), ...metadata }, pieces);
}

function floatDtype({ format }: StoredTensor): 'f16' | 'f32' {
  return format?.kind === 'float' && format.dtype === 'f16' ? 'f16' : 'f32';
}

function floatPiece(
  name: string,
  tensor: StoredTensor,
  dtype: 'f16' | 'f32',
  signal: AbortSignal | undefined,
): SafetensorsPiece {
  return {
    name,
    dtype: dtype === 'f16' ? 'F16' : 'F32',
    shape: tensor.shape,
    async *data() {
      for await (const block of blocks(tensor, signal)) {
        const floats = convert(block, { kind: 'float', dtype }, roundToNearest);
        if ('q' in floats) throw new EdgeError('INTERNAL', `'${name}' is no float tensor`);
        yield bytesOf(floats.data);
      }
    },
  };
}

/** Codes, scales and biases of one tensor. */
function quantPieces(
  name: string,
  tensor: StoredTensor,
  format: QuantFormat,
  quantizer: Quantizer,
  signal: AbortSignal | undefined,
): SafetensorsPiece[] {
  const { rows, cols } = tensor;
  const groups = Math.ceil(cols / format.group);
  const scaleDtype = format.scaleDtype === 'f16' ? 'F16' : 'F32';
  const part = async function* (pick: (block: QuantTensor) => Uint8Array) {
    for await (const block of blocks(tensor, signal)) {
      const codes = convert(block, format, quantizer);
      if (!('q' in codes)) throw new EdgeError('INTERNAL', `'${name}' was not quantized`);
      yield pick(codes);
    }
  };
  // Each part runs the quantizer again: it is fast and deterministic, and the parts may lie far apart in the file.
  const { scales, biases } = siblings(name);
  const pieces: SafetensorsPiece[] = [
    {
      name,
      dtype: 'U8',
      shape: [rows, Math.ceil((cols * format.bits) / 8)],
      data: () => part(({ q }) => q),
    },
    {
      name: scales,
      dtype: scaleDtype,
      shape: [rows, groups],
      data: () => part(({ scale }) => bytesOf(scale)),
    },
  ];
  if (format.hasBias)
    pieces.push({
      name: biases,
      dtype: scaleDtype,
      shape: [rows, groups],
      data: () => part(({ bias }) => bytesOf(bias!)),
    });
  return pieces;
}

async function* blocks(tensor: StoredTensor, signal: AbortSignal | undefined): AsyncGenerator<Tensor> {
  const step = Math.max(1, Math.floor(BLOCK / Math.max(1, tensor.bytes / tensor.rows)));
  for (let row = 0; row < tensor.rows; row += step)
    yield await tensor.read(row, Math.min(step, tensor.rows - row), signal);
}
