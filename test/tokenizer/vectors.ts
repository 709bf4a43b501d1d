import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { parseTokenizer, type Tokenizer } from '../../src/tokenizer/index.ts';

export interface Vector {
  name?: string;
  text: string;
  ids: number[];
  decoded?: string; // the text, if absent
}

const FIXTURES = fileURLToPath(new URL('../fixtures/tokenizers/', import.meta.url));
const TINY = fileURLToPath(new URL('../../models/tiny/tokenizer.json', import.meta.url));
export const NEOX = join(FIXTURES, 'neox.json');

/** The tokenizer of a tokenizer.json. */
export function read(file: string): Tokenizer {
  return parseTokenizer({ name: file, tokenizer: readFileSync(file, 'utf8') }, 50_288);
}

/**
 * What the Python package tokenizers 0.23.2 makes of 60 texts, with the embedded model's tokenizer or with `neox`: 1,000
 * tokens learned from this project's documents, runs of spaces and marks of personal data added as GPT-NeoX and OLMo do.
 */
export function ownVectors(name: 'tiny' | 'neox'): { tokenizer: Tokenizer; vectors: Vector[] } {
  const { names, texts, ...ids } = JSON.parse(readFileSync(join(FIXTURES, 'vectors.json'), 'utf8'));
  const vectors = texts.map((text: string, i: number) => ({
    name: names[i],
    text,
    ids: numbers(ids[name][i]),
    decoded: name === 'neox' ? text.normalize('NFC') : text,
  }));
  return { tokenizer: read(name === 'neox' ? NEOX : TINY), vectors };
}

/** llama.cpp's vectors of GPT-NeoX's vocabulary, in its form: texts in one file, a line of ids of each in another. */
export function publishedVectors(folder: string): Vector[] {
  const file = (ending: string) => readFileSync(join(folder, `ggml-vocab-mpt.gguf.${ending}`), 'utf8');
  const texts = file('inp').split('\n__ggml_vocab_test__\n');
  const lines = file('out').split('\n');
  expect(lines).toHaveLength(47);
  return lines.map((line, i) => ({
    text: texts[i]!,
    ids: numbers(line),
    decoded: texts[i]!.normalize('NFC'),
  }));
}

export function expectVectors(tokenizer: Tokenizer, vectors: readonly Vector[]): void {
  for (const { text, ids, decoded = text } of vectors) {
    expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  }
}

const numbers = (line: string) => line.split(' ').filter(Boolean).map(Number);
