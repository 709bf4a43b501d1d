import { EdgeError } from '../errors.ts';
import type { ByteSource } from '../io/types.ts';
import type { QuantTensor } from '../types.ts';
import { checkpoint, type Sidecars } from './assemble.ts';
import { translatedShape, translateGguf } from './gguf_architectures.ts';
import { type GgufEntry, readGgufHeader } from './gguf_header.ts';
import { ggufGenerationConfig } from './gguf_sampling.ts';
import { ggufTokenizer, ggufTokenizerConfig, ggufTokenizerLack } from './gguf_tokenizer.ts';
import { KQUANTS, unpackKQuant } from './kquants.ts';
import { asU16, floatStored, matrixOf, StoredBytes } from './stored.ts';
import type { Checkpoint, StoredTensor } from './types.ts';

export async function isGguf(source: ByteSource, signal?: AbortSignal): Promise<boolean> {
  if (source.size < 4) return false;
  const magic = await source.read(0, 4, signal);
  return String.fromCharCode(...magic) === 'GGUF';
}

/** A GGUF file as a checkpoint with the config and the names of transformers, if it is of an architecture that runs here. */
export async function openGguf(
  source: ByteSource,
  sidecars: Sidecars,
  signal?: AbortSignal,
): Promise<Checkpoint> {
  const { metadata, entries } = await readGgufHeader(source, signal);
  const architecture = metadata['general.architecture'];
  if (typeof architecture !== 'string')
    throw new EdgeError('INVALID_FILE', `${source.name}: expected general.architecture in the GGUF metadata`);
  const parts = metadata['split.count'];
  if (typeof parts === 'number' && parts > 1)
    throw new EdgeError(
      'UNSUPPORTED_MODEL',
      `${source.name} is one of ${parts} parts; merge them (llama-gguf-split --merge) or convert to safetensors`,
    );
  const found = entries.map((entry) => {
    const shape = translatedShape(architecture, entry.name, entry.shape);
    return [entry.name, storedTensor(source, entry, shape)] as const;
  });
  const { config, tensors } = translateGguf(source.name, architecture, metadata, found);
  const beside: Sidecars = {
    ...sidecars,
    tokenizer: sidecars.tokenizer ?? ggufTokenizer(source.name, metadata),
    tokenizerConfig: { ...ggufTokenizerConfig(metadata), ...sidecars.tokenizerConfig },
    tokenizerLack: ggufTokenizerLack(source.name, metadata),
    generationConfig: sidecars.generationConfig ?? ggufGenerationConfig(metadata),
  };
  return checkpoint('gguf', source.name, config, tensors, metadata, beside, [source]);
}

type Format = QuantTensor['format'];
const QUANT: Readonly<Record<string, Format>> = {
  Q4_0: { kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: false },
  Q4_1: { kind: 'quant', bits: 4, group: 32, scaleDtype: 'f16', hasBias: true },
  Q8_0: { kind: 'quant', bits: 8, group: 32, scaleDtype: 'f16', hasBias: false },
};

function storedTensor(source: ByteSource, entry: GgufEntry, shape: readonly number[]): StoredTensor {
  const bytes = new StoredBytes(source, entry.begin, entry.end);
  const what = { name: entry.name, file: source.name, dtype: entry.type, shape };
  const kquant = Object.hasOwn(KQUANTS, entry.type) ? KQUANTS[entry.type]! : null;
  const format = Object.hasOwn(QUANT, entry.type) ? QUANT[entry.type]! : kquant?.format;
  if (!format) return floatStored(what, bytes);
  const { rows, cols } = matrixOf(shape);
  const stride = kquant ? (cols / 256) * kquant.bytes : (cols / 32) * BLOCK_BYTES[entry.type]!;
  return {
    ...what,
    rows,
    cols,
    bytes: bytes.size,
    format,
    ...(!kquant && bytes.fills && { placeBytes: (count: number) => count * stride }),
    digest: (signal) => bytes.digest(signal),
    async read(row, count, signal, into) {
      const found = await bytes.read(row * stride, count * stride, signal, into);
      return kquant ? unpackKQuant(found, count, cols, kquant) : new BlockRows(found, count, cols, format);
    },
  };
}

const BLOCK_BYTES: Readonly<Record<string, number>> = { Q4_0: 18, Q4_1: 20, Q8_0: 34 };

/** Rows as the file holds them, in the canonical form when that is asked for. */
class BlockRows implements QuantTensor {
  private canonical: QuantTensor | null = null;

  constructor(
    readonly blocks: Uint8Array,
    readonly rows: number,
    readonly cols: number,
    readonly format: Format,
  ) {}

  private get repacked(): QuantTensor {
    this.canonical ??= repack(this.blocks, this.rows, this.cols, this.format);
    return this.canonical;
  }

  get q(): Uint8Array {
    return this.repacked.q;
  }

  get scale(): Float32Array | Uint16Array {
    return this.repacked.scale;
  }

  get bias(): Float32Array | Uint16Array | null {
    return this.repacked.bias;
  }
}

/**
 * Blocks of ggml to the canonical form, bit for bit. A block of 32 is an f16 scale, for Q4_1 an f16 minimum, and
 * the codes: signed bytes, or nibbles where byte i holds elements i and i + 16.
 */
export function repack(blocks: Uint8Array, rows: number, cols: number, format: Format): QuantTensor {
  const count = (rows * cols) / 32;
  const head = format.hasBias ? 4 : 2;
  const codes = 4 * format.bits; // bytes of a block
  const scale = new Uint16Array(count); // [rows, cols / 32]
  const bias = format.hasBias ? new Uint16Array(count) : null; // [rows, cols / 32]
  const q = new Uint8Array(count * codes); // [rows, cols · bits / 8]
  const halves = asU16(blocks); // blocks are of even size
  const pairs = new Uint16Array(q.buffer); // of bytes
  for (let b = 0, at = 0; b < count; b++, at += head + codes) {
    scale[b] = halves[at / 2]!;
    if (bias) bias[b] = halves[at / 2 + 1]!;
    const from = (at + head) / 2;
    const to = (b * codes) / 2;
    if (format.bits === 8) for (let i = 0; i < 16; i++) pairs[to + i] = halves[from + i]! ^ 0x8080;
    else
      for (let i = 0; i < 4; i++) {
        const word = halves[from + 2 * i]! | (halves[from + 2 * i + 1]! << 16);
        pairs[to + i] = nibbles(word & 0x0f0f0f0f);
        pairs[to + 4 + i] = nibbles((word >>> 4) & 0x0f0f0f0f);
      }
  }
  return { format, rows, cols, q, scale, bias };
}

/** Four codes, a byte each, as two bytes. */
function nibbles(word: number): number {
  const joined = word | (word >>> 4);
  return (joined & 0xff) | ((joined >>> 8) & 0xff00);
}
