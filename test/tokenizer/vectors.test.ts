import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sharedData } from '../helpers/provided.ts';
import { expectVectors, ownVectors, publishedVectors, read } from './vectors.ts';

describe.each(['tiny', 'neox'] as const)('%s', (name) => {
  const { tokenizer, vectors } = ownVectors(name);

  test('has 60 vectors', () => expect(vectors).toHaveLength(60));

  test.each(vectors)('$name', (vector) => {
    expectVectors(tokenizer, [vector]);
    const { ids, decoded } = vector;
    const stream = tokenizer.stream();
    const pieces = ids.map((id) => stream.push(id));
    expect(pieces.join('') + stream.flush()).toBe(decoded);
    for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
  });
});

describe('published vocabularies', () => {
  test.for(['20B_tokenizer', 'allenai_gpt-neox-olmo-dolma-v1_5'])('60 vectors of %s', (name, context) => {
    const folder = sharedData(context, 'data/tokenizers');
    const tokenizer = read(join(folder, `${name}.json`));
    const { vectors } = JSON.parse(readFileSync(join(folder, `${name}.vectors.json`), 'utf8'));
    expect(vectors).toHaveLength(60);
    expectVectors(tokenizer, vectors);
  });

  test('47 vectors of llama.cpp', (context) => {
    const folder = sharedData(context, 'data/tokenizers');
    expectVectors(read(join(folder, '20B_tokenizer.json')), publishedVectors(folder));
  });
});
