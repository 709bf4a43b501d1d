/** A fixture's tensors as they are stored, to be written into other formats. */
import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../src/types.ts';
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
  const config = JSON.parse(new TextDecoder().decode(configBytes)) as JsonObject;
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

/** What the fixtures are asked: ids of their own vocabulary. */
export const IDS = [5, 17, 3, 99, 42, 8, 64];
