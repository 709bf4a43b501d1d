import { existsSync, readFileSync } from 'node:fs';
import type { JsonObject } from '../../src/types.ts';
import { parseSafetensors, type TestTensor } from './safetensors.ts';

/** Models with logits and greedy tokens from published code; see MODEL.md and the fixtures' configs. */
export const FIXTURES = [
  'mamba2-a',
  'mamba2-b-bf16',
  'mamba2-c-untied-f16',
  'rene-a',
  'rene-b-f16',
  'granite-hybrid',
  'falcon-h1',
  'falcon-h1-multipliers',
  'nano',
] as const;

export interface Fixture {
  config: JsonObject;
  tensors: ReadonlyMap<string, TestTensor>;
  expected: ReadonlyMap<string, TestTensor>;
}

/** The folder of a fixture, or of a model that is small enough to be one. */
export function fixtureFolder(name: string): string {
  const root = new URL('../', import.meta.url);
  const folder = new URL(`fixtures/${name}`, root).pathname;
  return existsSync(folder) ? folder : new URL(`models/${name}`, root).pathname;
}

export function loadFixture(name: string): Fixture {
  const folder = fixtureFolder(name);
  const read = (file: string) => readFileSync(`${folder}/${file}`);
  return {
    config: JSON.parse(read('config.json').toString()),
    tensors: parseSafetensors(read('model.safetensors')),
    expected: parseSafetensors(read('expected.safetensors')),
  };
}
