import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { llamaTokens, needLlama } from '../helpers/llama.ts';
import { gguf } from '../weights/gguf_file.ts';
import { sameInLlama, smallTokenizer, VOCABULARIES, vocabularyTexts } from '../weights/small_vocabularies.ts';

test("ids are llama.cpp's, for every kind of vocabulary", async (context) => {
  needLlama(context);
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-llama-'));
  const texts = vocabularyTexts(400);
  try {
    const files = Object.entries(VOCABULARIES).map(([name, metadata]) => {
      const file = join(folder, `${name}.gguf`);
      writeFileSync(file, gguf([['general.architecture', { string: 'mamba2' }], ...metadata]));
      return file;
    });
    // EDGE_SSM_VECTORS names a file to be written: test/weights/gguf_tokens.vectors.json was made so.
    const all = llamaTokens(files, texts);
    if (process.env.EDGE_SSM_VECTORS) {
      const lines = (i: number) => all[i]!.slice(0, 20).map((ids) => ids.join(' '));
      const vectors = Object.fromEntries(Object.keys(VOCABULARIES).map((name, i) => [name, lines(i)]));
      writeFileSync(process.env.EDGE_SSM_VECTORS, JSON.stringify(vectors, null, 1));
    }
    for (const [i, [name, metadata]] of Object.entries(VOCABULARIES).entries()) {
      const tokenizer = await smallTokenizer(metadata);
      for (const [j, text] of texts.entries()) {
        if (!sameInLlama(name, text)) continue;
        const found = [...tokenizer.encode(text)];
        expect(found, `${name}: ${JSON.stringify(text)}`).toEqual(all[i]![j]);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
