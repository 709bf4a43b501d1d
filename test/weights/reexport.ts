/** A fixture's tensors as they are stored, to be written into other formats. */
import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../src/types.ts';
import { bf16ToF32, f16ToF32 } from '../../src/weights/half.ts';
import { parseJsonObject } from '../../src/weights/json.ts';
import { safetensorsChunks } from '../../src/weights/safetensors.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';

export interface RawTensor {
  dtype: string;
  shape: number[];
  data: Uint8Array;
}

export interface RawFixture {
  config: JsonObject;
  configBytes: Uint8Array;
  tensors: Record<string, RawTensor>;
}

export function rawFixture(name: string): RawFixture {
  const folder = fixtureFolder(name);
  const configBytes = new Uint8Array(readFileSync(`${folder}/config.json`));
  const config = parseJsonObject('config.json', configBytes); // may have a bare Infinity
  const bytes = new Uint8Array(readFileSync(`${folder}/model.safetensors`));
  return { config, configBytes, tensors: rawTensors(bytes) };
}

/** The tensors of a safetensors file. */
export function rawTensors(bytes: Uint8Array): Record<string, RawTensor> {
  const begin = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, begin)));
  const tensors: Record<string, RawTensor> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets } = entry as {
      dtype: string;
      shape: number[];
      data_offsets: [number, number];
    };
    const [from, to] = data_offsets;
    tensors[name] = { dtype, shape, data: bytes.slice(begin + from, begin + to) };
  }
  return tensors;
}

/** Values of a float tensor. */
export function floatsOf({ dtype, data }: RawTensor): Float32Array {
  const { buffer } = data.slice();
  if (dtype === 'F32') return new Float32Array(buffer);
  return (dtype === 'F16' ? f16ToF32 : bf16ToF32)(new Uint16Array(buffer));
}

/** Tensors as a safetensors file. */
export async function safetensors(tensors: Record<string, RawTensor>, metadata = {}): Promise<Uint8Array> {
  const pieces = Object.entries(tensors).map(([name, tensor]) => ({ name, ...tensor }));
  const parts: Uint8Array[] = [];
  for await (const part of safetensorsChunks(metadata, pieces)) parts.push(part.slice());
  return new Uint8Array(Buffer.concat(parts));
}

/** Tensors in two files of a format, with the index that Hugging Face writes. */
export async function inShards(
  tensors: Record<string, RawTensor>,
  [stem, ending]: readonly [string, string],
  write: (part: Record<string, RawTensor>) => Uint8Array | Promise<Uint8Array>,
): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  const weight_map: Record<string, string> = {};
  for (const shard of [0, 1]) {
    const file = `${stem}-0000${shard + 1}-of-00002.${ending}`;
    const part = Object.entries(tensors).filter((_, i) => i % 2 === shard);
    for (const [name] of part) weight_map[name] = file;
    files[file] = await write(Object.fromEntries(part));
  }
  const index = JSON.stringify({ metadata: { total_size: 0 }, weight_map });
  return { ...files, [`${stem}.${ending}.index.json`]: new TextEncoder().encode(index) };
}

/** A fixture of transformers' Mamba-2 as state-spaces publishes its models. */
export function asStateSpaces({ config, tensors }: RawFixture): Pick<RawFixture, 'config' | 'tensors'> {
  return {
    config: {
      d_model: config.hidden_size!,
      n_layer: config.num_hidden_layers!,
      vocab_size: config.vocab_size!,
      pad_vocab_size_multiple: 1,
      d_intermediate: 0,
      rms_norm: true,
      tie_embeddings: config.tie_word_embeddings!,
      ssm_cfg: {
        layer: 'Mamba2',
        d_state: config.state_size!,
        d_conv: config.conv_kernel!,
        headdim: config.head_dim!,
        bias: config.use_bias!,
        conv_bias: config.use_conv_bias!,
      },
    },
    tensors: Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name.replace('.embeddings.', '.embedding.'), tensor]),
    ),
  };
}

/** What the fixtures are asked: ids of their own vocabulary. */
export const IDS = [5, 17, 3, 99, 42, 8, 64];
