import { expect, test } from 'vitest';
import type { GenerateOptions } from '../../src/api/types/index.ts';
import { SAMPLING_ROWS, type SamplingName } from '../../src/ops/sampling_options.ts';
import { source } from '../helpers/source.ts';

test('every sampling option is public, within its own range when off', () => {
  const names: (keyof GenerateOptions)[] = SAMPLING_ROWS.map(([name]) => name satisfies SamplingName);
  expect(names.length).toBeGreaterThan(6);
  const declared = source('src/api/types/generate.ts');
  for (const [name, { off, fits }] of SAMPLING_ROWS) {
    expect(declared).toContain(`  ${name}?: number;`);
    expect(fits(off), name).toBe(true);
  }
});

test('kernels read them in the order in which they are written', () => {
  const words = SAMPLING_ROWS.map(([name, { word }]) => {
    const field = name.replace('Penalty', '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return `${word === 'f32' ? 'f32' : 'u32'} ${field}`;
  });
  const after = ['u32 seed_lo', 'u32 seed_hi', 'u32 position', 'u32 n_recent', 'u32 n_bias', 'u32 n_top'];
  const expected = [...words, ...after];
  const c = [...source('wasm/ops/sample.h').matchAll(/^ {2}([fui]32) (\w+);/gm)].map(
    ([, type, name]) => `${type} ${name}`,
  );
  const first = c.indexOf(expected[0]!);
  expect(c.slice(first, first + expected.length)).toEqual(expected);
  const struct = source('shaders/wgsl/lib/output.wgsl').split('struct Output {')[1]!.split('}')[0]!;
  const wgsl = [...struct.matchAll(/^ {2}(\w+): ([fu]32),/gm)].map(([, name, type]) => `${type} ${name}`);
  const begin = wgsl.indexOf(expected[0]!);
  expect(wgsl.slice(begin, begin + expected.length)).toEqual(expected);
});
