import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'vitest';

/** Where `npm run bench -- --peers` installs node-llama-cpp, or the folder that EDGE_SSM_PEERS names. */
const FOLDER =
  process.env.EDGE_SSM_PEERS ?? join(process.env.EDGE_SSM_BENCH ?? join(tmpdir(), 'edge-ssm-bench'), 'peers');

/** Skips a test with the reason where node-llama-cpp is not installed. */
export function needLlama(context: Pick<TestContext, 'skip'>): void {
  if (!existsSync(join(FOLDER, 'node_modules/node-llama-cpp')))
    context.skip(
      'SKIP: no node-llama-cpp (npm run bench -- --peers installs it; EDGE_SSM_PEERS names its folder)',
    );
}

/**
 * How far logits [vocab] after `ids` are from llama.cpp's for the same GGUF file: the relative error of logarithms of
 * probabilities, each side's taken relative to the likeliest token, over the 1,000 likeliest.
 */
export function llamaError(file: string, ids: readonly number[], logits: Float32Array): number {
  const child = fileURLToPath(new URL('llama_child.mjs', import.meta.url));
  const output = execFileSync(process.execPath, [child, JSON.stringify({ file, ids })], { cwd: FOLDER });
  const top = JSON.parse(output.toString()) as [number, number][];
  const [best, highest] = top[0]!;
  let [difference, sum] = [0, 0];
  for (const [id, logp] of top) {
    difference += (logits[id]! - logits[best]! - (logp - highest)) ** 2;
    sum += (logp - highest) ** 2;
  }
  return Math.sqrt(difference / sum);
}

/** Ids of texts, special tokens among them, by file and text. */
export function llamaTokens(files: readonly string[], texts: readonly string[]): number[][][] {
  const child = fileURLToPath(new URL('llama_tokens_child.mjs', import.meta.url));
  const output = execFileSync(process.execPath, [child, JSON.stringify({ files, texts })], { cwd: FOLDER });
  return JSON.parse(output.toString());
}
