import { describe, expect, test } from 'vitest';
import { readLoadOptions } from '../../src/engine/core/load_options.ts';
import { readOptions } from '../../src/engine/language/options.ts';
import type { EngineOptions, GenerateOptions } from '../../src/engine/types.ts';
import { EdgeError } from '../../src/errors.ts';

const read = (options: unknown) => readOptions(options as GenerateOptions, 100);

function refused(run: () => unknown, message: RegExp): void {
  let error: unknown = null;
  try {
    run();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(EdgeError);
  expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
}

describe('generation', () => {
  test('the defaults are greedy', () => {
    expect(read({})).toMatchObject({
      maxTokens: 256,
      sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, seedLo: 0, seedHi: 0, bias: null, top: 0 },
      penalizes: false,
      seed: 0,
      stop: [],
      ignoreEos: false,
      logprobs: null,
    });
    expect(read({ temperature: undefined, stop: undefined, logitBias: undefined })).toEqual(read({}));
  });

  const odd = [Number.NaN, Number.POSITIVE_INFINITY, '1', null, [], {}, true];
  test.each<[keyof GenerateOptions, unknown[]]>([
    ['maxTokens', [...odd, 0, -1, 1.5, 2 ** 53]],
    ['temperature', [...odd, -1, -1e-9, 1e-5, 1e9]],
    ['topK', [...odd, -1, 0.5]],
    ['topP', [...odd, 0, -0.1, 1.0001]],
    ['minP', [...odd, -0.1, 1]],
    ['repetitionPenalty', [...odd, 0, -1, 1e9]],
    ['frequencyPenalty', [...odd, 1e9]],
    ['presencePenalty', [...odd, -1e9]],
    ['seed', [...odd, -1, 0.5, 2 ** 53]],
    ['stop', [1, null, true, {}, '', ['a', ''], ['a', 1], [['a']], Array(257).fill('a'), 'x'.repeat(10_001)]],
    ['stopTokens', [1, null, 'a', {}, [100], [-1], [0.5], ['1'], [Number.NaN]]],
    ['ignoreEos', [1, 'true', null]],
    ['logprobs', [-1, 21, 1.5, Number.NaN, '3', null, {}]],
    ['logitBias', [1, null, 'a', [1], { a: 1 }, { 100: 1 }, { '-1': 1 }, { '1.5': 1 }, { 1: Number.NaN }]],
  ])('%s', (name, values) => {
    for (const value of values) refused(() => read({ [name]: value }), new RegExp(name));
  });

  test('logit bias', () => {
    for (const value of [Number.POSITIVE_INFINITY, 1e300, '1', null])
      refused(() => read({ logitBias: { 1: value } }), /token 1/);
    refused(
      () =>
        readOptions({ logitBias: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 1])) }, 5000),
      /at most 1024/,
    );
    const all = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i, Number.NEGATIVE_INFINITY]));
    refused(() => read({ logitBias: all }), /bans every token/);
    const entries: [number, number][] = [
      [7, -Infinity],
      [3, 1.5],
    ];
    const { bias } = read({ logitBias: new Map(entries) }).sampling;
    expect(bias).toEqual({ ids: Int32Array.of(3, 7), values: Float32Array.of(1.5, -Infinity) });
    expect(read({ logitBias: Object.fromEntries(entries) }).sampling.bias).toEqual(bias);
    expect(read({ logitBias: {} }).sampling.bias).toBeNull();
  });

  test('unknown names and things that are no options', () => {
    refused(() => read({ max_tokens: 3 }), /Unknown generation option 'max_tokens'.*maxTokens/);
    for (const options of [null, 1, 'x', []]) refused(() => read(options), /must be an object/);
  });

  test('seeds: all 53 bits count, absent ones are random only where something is drawn', () => {
    expect(read({ temperature: 1, seed: 2 ** 53 - 1 }).sampling).toMatchObject({
      seedLo: 2 ** 32 - 1,
      seedHi: 2 ** 21 - 1,
    });
    const seeds = new Set(Array.from({ length: 20 }, () => read({ temperature: 1 }).seed));
    expect(seeds.size).toBe(20);
    for (const seed of seeds) expect(read({ temperature: 1, seed }).seed).toBe(seed);
  });

  test('stop and logprobs in all their forms', () => {
    expect(read({ stop: 'a' }).stop).toEqual(['a']);
    expect(read({ stop: ['a', 'b'] }).stop).toEqual(['a', 'b']);
    expect(read({ stop: [] }).stop).toEqual([]);
    expect([false, true, 0, 5].map((logprobs) => read({ logprobs }).logprobs)).toEqual([null, 0, 0, 5]);
    expect(read({ topK: 1000 }).sampling.topK).toBe(100);
    expect(read({ presencePenalty: 0.5 }).penalizes).toBe(true);
  });
});

describe('load', () => {
  const load = (options: unknown) => readLoadOptions(options as EngineOptions);

  test('the defaults', () => {
    expect(load({})).toEqual({
      backend: 'auto',
      numerics: 'i8',
      threads: 0,
      maxSessions: 4,
      maxContext: 4096,
      maxHistory: 65_536,
      checkpointEvery: 512,
      checkpointBytes: 2 ** 26,
      cacheBytes: 0,
      spill: 0,
      maxQueue: 256,
    });
  });

  const odd = [Number.NaN, -1, 0.5, '1', null, Number.POSITIVE_INFINITY, {}];
  test.each<[keyof EngineOptions, unknown[]]>([
    ['backend', ['cuda', 1, {}]],
    ['numerics', ['i4', 1]],
    ['quantize', ['q5', null, 4]],
    ['threads', odd.filter((value) => value !== null)],
    ['maxSessions', [...odd, 0].filter((value) => value !== null)],
    ['maxContext', [...odd, 0].filter((value) => value !== null)],
    ['maxQueue', odd.filter((value) => value !== null)],
    ['chunk', [...odd, 0].filter((value) => value !== null)],
    ['memoryBudget', [0, -1, Number.NaN, '1', null]],
  ])('%s', (name, values) => {
    for (const value of values) refused(() => load({ [name]: value }), new RegExp(name));
  });

  test('backends that are not public are known where they are given', () => {
    refused(() => load({ backend: 'reference' }), /backend must be one of auto, metal, webgpu, wasm; found/);
    expect(readLoadOptions({ backend: 'reference' }, [{ name: 'reference' }]).backend).toBe('reference');
  });

  test('unknown names', () => refused(() => load({ treads: 2 }), /Unknown load option 'treads'/));
});
