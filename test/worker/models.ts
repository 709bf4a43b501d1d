import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import type { Model } from '../../src/api/model.ts';
import { type LoadOptions, load } from '../../src/index.ts';

export const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));

const open = new Set<Model>();
afterEach(async () => {
  await Promise.all([...open].map((model) => model.dispose()));
  open.clear();
});

/** The small real model in a worker of its own, disposed after the test. */
export async function loadNano(options: LoadOptions = {}): Promise<Model> {
  const model = await load(NANO, { threads: 1, ...options });
  open.add(model);
  return model;
}

export const PROMPT = 'Once upon a time';

/** Greedy ids after `PROMPT`. */
export async function greedy(model: Model, maxTokens: number): Promise<number[]> {
  const { tokens } = await model.generate(PROMPT, { maxTokens, ignoreEos: true }).result();
  return tokens.map(({ id }) => id);
}
