import { EdgeError } from '../errors.ts';
import type { QuantTensor, Tensor, WeightFormat, WeightSink } from '../types.ts';
import { bytesOf } from './bytes.ts';
import { toF32 } from './dequantize.ts';
import { type ExportedModel, type GgufPlace, ggufLayout } from './gguf_layouts.ts';
import { ggufSampling } from './gguf_sampling.ts';
import { ggufTemplates, ggufVocabulary } from './gguf_vocabulary.ts';
import { type GgufPiece, type GgufValue, ggufChunks } from './gguf_write.ts';
import { f32ToF16 } from './half.ts';
import type { WeightSource } from './types.ts';
import { uploadWeights } from './upload.ts';

/**
 * A Mamba-2, Granite 4.0 H or Falcon-H1 model as llama.cpp reads it: the bytes of a GGUF file, piece by piece. Codes that
 * GGUF has no blocks for become F16; `onWarning` hears what the file lacks.
 * @throws UNSUPPORTED_MODEL for what llama.cpp has no place for
 */
export function exportGguf(model: ExportedModel, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const layout = ggufLayout(model);
  const pieces = layout.places.map(([weight, place]) => pieceOf(model, weight, place, signal));
  const { checkpoint, program, bosTokenId, eosTokenIds } = model;
  const vocabulary = ggufVocabulary(checkpoint.tokenizer, program.vocabSize, bosTokenId, eosTokenIds);
  if (vocabulary.lack !== null)
    model.onWarning?.(
      `The GGUF file has no tokenizer (tokenizer.ggml.model is no_vocab): ${vocabulary.lack}. It takes token ids only`,
    );
  const metadata: Record<string, GgufValue> = {
    'general.architecture': { string: layout.architecture },
    'general.name': { string: checkpoint.name.split(/[\\/]/).filter(Boolean).at(-1) ?? layout.architecture },
    'general.quantization_version': { u32: 2 },
    ...layout.metadata,
    ...vocabulary.metadata,
    ...ggufTemplates(checkpoint.tokenizerConfig),
    ...ggufSampling(checkpoint.generationConfig),
  };
  return ggufChunks(metadata, pieces);
}

function pieceOf(model: ExportedModel, weight: string, place: GgufPlace, signal?: AbortSignal): GgufPiece {
  const { checkpoint, sources, program, formats } = model;
  const spec = program.weights[weight]!;
  const type = ggmlType(formats[weight]!, spec.shape.at(-1)!);
  const scaled = { [weight]: scaledSource(sources[weight]!, place.scale ?? 1) };
  return {
    name: place.name,
    type,
    shape: place.shape,
    async *data() {
      const parts: Uint8Array[] = []; // of one tensor: codes are a file's smallest form of it
      const sink: WeightSink = { put: (_, tensor) => void parts.push(blocksOf(tensor, type)) };
      const only = { [weight]: spec };
      await uploadWeights(checkpoint, scaled, only, formats, () => sink, { blockRows: 1, signal });
      yield* place.rows ? rowsOf(parts, spec.shape[0]!, ...place.rows) : parts;
    },
  };
}

/** A weight's source, all of it multiplied by `scale`. */
function scaledSource(source: WeightSource, scale: number): WeightSource {
  if (scale === 1) return source;
  const { multipliers = [{ rows: Number.POSITIVE_INFINITY, by: 1 }] } = source;
  return { ...source, multipliers: multipliers.map(({ rows, by }) => ({ rows, by: by * scale })) };
}

/** The bytes of consecutive rows, of `all` rows in parts. */
function* rowsOf(parts: readonly Uint8Array[], all: number, first: number, count: number) {
  const row = parts.reduce((sum, { length }) => sum + length, 0) / all;
  let begin = -first * row; // of a part, from the first row wanted
  for (const part of parts) {
    const piece = part.subarray(Math.max(0, -begin), Math.max(0, count * row - begin));
    if (piece.length > 0) yield piece;
    begin += part.length;
  }
}

function ggmlType(format: WeightFormat, cols: number): string {
  if (format.kind === 'float') return format.dtype === 'f32' ? 'F32' : 'F16';
  const { bits, group, scaleDtype, hasBias } = format;
  if (group !== 32 || scaleDtype !== 'f16' || cols % 32 !== 0 || (bits === 8 && hasBias)) return 'F16';
  return bits === 8 ? 'Q8_0' : hasBias ? 'Q4_1' : 'Q4_0';
}

function blocksOf(tensor: Tensor, type: string): Uint8Array {
  if (type === 'F32') return bytesOf(toF32(tensor).slice());
  if (type === 'F16')
    return bytesOf(
      'data' in tensor && tensor.data instanceof Uint16Array ? tensor.data : f32ToF16(toF32(tensor)),
    );
  if (!('q' in tensor)) throw new EdgeError('INTERNAL', `${type} of floats`);
  return packBlocks(tensor);
}

/** The canonical form to blocks of ggml, bit for bit: the inverse of `repack`. */
export function packBlocks({ rows, cols, q, scale, bias, format }: QuantTensor): Uint8Array {
  const count = (rows * cols) / 32;
  const head = bias ? 4 : 2;
  const codes = 4 * format.bits;
  const bytes = new Uint8Array(count * (head + codes));
  const view = new DataView(bytes.buffer);
  for (let b = 0, at = 0; b < count; b++, at += head + codes) {
    view.setUint16(at, scale[b]!, true);
    if (bias) view.setUint16(at + 2, bias[b]!, true);
    const from = b * codes;
    if (format.bits === 8) for (let i = 0; i < 32; i++) bytes[at + head + i] = q[from + i]! ^ 0x80;
    else
      for (let i = 0; i < 16; i++) {
        const nibble = (k: number) => (q[from + (k >> 1)]! >> (4 * (k & 1))) & 15;
        bytes[at + head + i] = nibble(i) | (nibble(i + 16) << 4);
      }
  }
  return bytes;
}
