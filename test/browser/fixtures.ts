/// <reference types="vite/client" />
import type { JsonObject } from '../../src/types.ts';
import type { Fixture } from '../helpers/fixtures.ts';
import { parseSafetensors } from '../helpers/safetensors.ts';

export type { Fixture } from '../helpers/fixtures.ts';

/** The names of helpers/fixtures.ts, whose place this takes in a page. */
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

const urls = import.meta.glob<string>(
  ['../fixtures/*/*.{json,safetensors}', '../models/nano/{config.json,*.safetensors}'],
  { query: '?url', import: 'default', eager: true },
);

const files = new Map<string, Uint8Array>(
  await Promise.all(
    Object.entries(urls).map(async ([path, url]) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url}: ${response.status}`);
      return [path, new Uint8Array(await response.arrayBuffer())] as const;
    }),
  ),
);

export function loadFixture(name: string): Fixture {
  const read = (file: string) => {
    const bytes = files.get(`../fixtures/${name}/${file}`) ?? files.get(`../models/${name}/${file}`);
    if (!bytes) throw new Error(`There is no ${file} of fixture ${name}`);
    return bytes;
  };
  return {
    config: JSON.parse(new TextDecoder().decode(read('config.json'))) as JsonObject,
    tensors: parseSafetensors(read('model.safetensors')),
    expected: parseSafetensors(read('expected.safetensors')),
  };
}
