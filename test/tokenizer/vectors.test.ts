import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseTokenizer } from '../../src/tokenizer/index.ts';

const FOLDER = new URL('../../../shared/data/tokenizers/', import.meta.url);
const present = existsSync(FOLDER);
if (!present) console.warn(`SKIP tokenizer vectors: ${FOLDER.pathname} is absent`);

interface Vector {
  name: string;
  text: string;
  ids: number[];
  decoded?: string;
}

const load = (file: string) =>
  parseTokenizer({ name: file, tokenizer: readFileSync(new URL(file, FOLDER), 'utf8') }, 50288);

describe.runIf(present).each(['20B_tokenizer', 'allenai_gpt-neox-olmo-dolma-v1_5'])('%s', (name) => {
  const tokenizer = present ? load(`${name}.json`) : null!;
  const file = present ? readFileSync(new URL(`${name}.vectors.json`, FOLDER), 'utf8') : '{"vectors":[]}';
  const { vectors } = JSON.parse(file) as { vectors: Vector[] };

  test('has 60 vectors', () => expect(vectors).toHaveLength(60));

  test.each(vectors)('$name', ({ text, ids, decoded = text }) => {
    expect([...tokenizer.encode(text)]).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
    const stream = tokenizer.stream();
    const pieces = ids.map((id) => stream.push(id));
    expect(pieces.join('') + stream.flush()).toBe(decoded);
    for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
  });
});

describe.runIf(present)('the vectors of llama.cpp', () => {
  test('all 47', () => {
    const tokenizer = load('20B_tokenizer.json');
    const read = (ending: string) => readFileSync(new URL(`ggml-vocab-mpt.gguf.${ending}`, FOLDER), 'utf8');
    const texts = read('inp').split('\n__ggml_vocab_test__\n');
    const lines = read('out').split('\n');
    expect(lines).toHaveLength(47);
    lines.forEach((line, i) => {
      const ids = line.trim() === '' ? [] : line.trim().split(' ').map(Number);
      expect([...tokenizer.encode(texts[i]!)], JSON.stringify(texts[i])).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(texts[i]!.normalize('NFC'));
    });
  });
});
