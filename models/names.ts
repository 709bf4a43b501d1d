import type { TensorShape } from '../src/weights/types.ts';

/** How the names of an architecture's tensors begin, and the embedding's, which every checkpoint has. */
export interface TensorNames {
  root: string; // 'backbone.'
  embedding: readonly string[]; // after the root, in each spelling: 'embeddings.weight'
}

const HEAD = 'lm_head.';

/**
 * The tensors of a checkpoint under the names that its architecture gives them, each with the name that it has. The names
 * of a bare model lack the root, those of a wrapped one have more before it: where the embedding is tells.
 */
export function canonicalNames(
  tensors: ReadonlyMap<string, TensorShape>,
  { root, embedding }: TensorNames,
): ReadonlyMap<string, string> {
  const prefix = foundPrefix([...tensors.keys()], root, embedding);
  const outer = prefix.slice(0, prefix.lastIndexOf('.', prefix.length - 2) + 1);
  const canonical = (name: string): string => {
    for (const before of new Set([outer, prefix]))
      if (name.startsWith(before + HEAD)) return name.slice(before.length);
    return name.startsWith(prefix) && !name.startsWith(HEAD) ? root + name.slice(prefix.length) : name;
  };
  return new Map([...tensors.keys()].map((name) => [canonical(name), name]));
}

/** The prefix before the embedding's name; empty where no tensor or more than one could be the embedding. */
function foundPrefix(names: readonly string[], root: string, embedding: readonly string[]): string {
  const found = names.flatMap((name) => {
    const end = embedding.find((known) => name === known || name.endsWith(`.${known}`));
    return end === undefined ? [] : [name.slice(0, -end.length)];
  });
  return found.includes(root) || found.length !== 1 ? root : found[0]!;
}
