import { EdgeError } from '../errors.ts';
import type { Program } from '../ops/program.ts';
import type { QuantTensor, Tensor, WeightFormat } from '../types.ts';
import { bytesOf } from './bytes.ts';
import { toF32 } from './dequantize.ts';
import { ggufSampling } from './gguf_sampling.ts';
import { ggufTemplates, ggufTokenizerMetadata } from './gguf_vocabulary.ts';
import { type GgufPiece, type GgufValue, ggufChunks } from './gguf_write.ts';
import { f32ToF16 } from './half.ts';
import type { Checkpoint, WeightSource } from './types.ts';
import { uploadWeights } from './upload.ts';

/** A model, understood: what models/ says of it. */
export interface ExportedModel {
  checkpoint: Checkpoint;
  architecture: string;
  dModel: number;
  nLayer: number;
  bosTokenId: number | null;
  eosTokenIds: readonly number[];
  sources: Readonly<Record<string, WeightSource>>;
  program: Program;
  formats: Readonly<Record<string, WeightFormat>>;
}

/**
 * A Mamba-2 model as llama.cpp reads it (its `mamba2` architecture): the bytes of a GGUF file, piece by piece. Codes that
 * GGUF has no blocks for become F16.
 * @throws UNSUPPORTED_MODEL for what llama.cpp's mamba2 has not
 */
export function exportGguf(model: ExportedModel, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const facts = factsOf(model);
  const pieces = Object.keys(model.program.weights).map((weight) => pieceOf(model, weight, facts, signal));
  const { checkpoint, program, dModel, nLayer, bosTokenId, eosTokenIds } = model;
  const key = (name: string) => `mamba2.${name}`;
  const metadata: Record<string, GgufValue> = {
    'general.architecture': { string: 'mamba2' },
    'general.name': { string: checkpoint.name.split(/[\\/]/).filter(Boolean).at(-1) ?? 'mamba2' },
    'general.quantization_version': { u32: 2 },
    [key('context_length')]: { u32: 2 ** 20 },
    [key('embedding_length')]: { u32: dModel },
    [key('vocab_size')]: { u32: program.vocabSize },
    [key('feed_forward_length')]: { u32: 0 },
    [key('attention.head_count')]: { u32: 0 },
    [key('block_count')]: { u32: nLayer },
    [key('ssm.conv_kernel')]: { u32: facts.kernel },
    [key('ssm.inner_size')]: { u32: facts.inner },
    [key('ssm.state_size')]: { u32: facts.state },
    [key('ssm.time_step_rank')]: { u32: facts.heads },
    [key('ssm.group_count')]: { u32: facts.groups },
    [key('attention.layer_norm_rms_epsilon')]: { f32: facts.eps },
    ...ggufTokenizerMetadata(checkpoint.tokenizer, program.vocabSize, bosTokenId, eosTokenIds),
    ...ggufTemplates(checkpoint.tokenizerConfig),
    ...ggufSampling(checkpoint.generationConfig),
  };
  return ggufChunks(metadata, pieces);
}

interface Facts {
  kernel: number;
  inner: number;
  state: number;
  heads: number;
  groups: number;
  eps: number;
}

function factsOf({ architecture, checkpoint, program }: ExportedModel): Facts {
  const refuse = (what: string) =>
    new EdgeError(
      'UNSUPPORTED_MODEL',
      `${checkpoint.name}: llama.cpp's mamba2 has no ${what}: write safetensors instead`,
    );
  if (architecture !== 'mamba2') throw refuse(`place for '${architecture}' models`);
  const call = <T extends Program['calls'][number]['op']>(op: T) =>
    program.calls.filter((other): other is Extract<Program['calls'][number], { op: T }> => other.op === op);
  const [scan, gate] = [call('ssd_scan')[0]!, call('gate_norm')[0]!];
  if (gate.mode !== 'gate_then_norm') throw refuse('norm before the gate');
  if (scan.dtMin > 0 || scan.dtMax < Number.MAX_VALUE) throw refuse('limits of the step size');
  const odd = Object.keys(program.weights).find((name) => ggufName(name) === null);
  if (odd !== undefined) throw refuse(`weight '${odd}'`);
  const [heads, , state] = program.states['layers.0.ssm']!.shape as [number, number, number];
  if (program.weights['layers.0.D']!.shape[0] !== heads) throw refuse('D of each channel');
  const [kernel] = program.states['layers.0.conv']!.shape as [number];
  return { kernel, inner: scan.x.width, state, heads, groups: scan.ngroups, eps: gate.eps };
}

const NAMES: Readonly<Record<string, string>> = {
  embedding: 'token_embd.weight',
  norm_f: 'output_norm.weight',
  head: 'output.weight',
  norm: 'attn_norm.weight',
  in_proj: 'ssm_in.weight',
  conv: 'ssm_conv1d.weight',
  'conv.bias': 'ssm_conv1d.bias',
  dt_bias: 'ssm_dt.bias',
  A: 'ssm_a',
  D: 'ssm_d',
  gate_norm: 'ssm_norm.weight',
  out_proj: 'ssm_out.weight',
};

function ggufName(weight: string): string | null {
  const [, layer, key = weight] = /^layers\.(\d+)\.(.+)$/.exec(weight) ?? [];
  if (!Object.hasOwn(NAMES, key)) return null;
  return layer === undefined ? NAMES[key]! : `blk.${layer}.${NAMES[key]}`;
}

function pieceOf(model: ExportedModel, weight: string, facts: Facts, signal?: AbortSignal): GgufPiece {
  const { checkpoint, sources, program, formats } = model;
  const spec = program.weights[weight]!;
  const type = ggmlType(formats[weight]!, spec.shape.at(-1)!);
  const [length] = spec.shape as [number];
  const shape = /\.[AD]$/.test(weight)
    ? [length, 1]
    : weight.endsWith('gate_norm')
      ? [facts.groups, length / facts.groups]
      : spec.shape;
  return {
    name: ggufName(weight)!,
    type,
    shape,
    async *data() {
      const parts: Uint8Array[] = []; // of one tensor: codes are a file's smallest form of it
      const take = (_: string, __: number, tensor: Tensor) => void parts.push(blocksOf(tensor, type));
      await uploadWeights(checkpoint, sources, { [weight]: spec }, formats, take, { blockRows: 1, signal });
      yield* parts;
    },
  };
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
