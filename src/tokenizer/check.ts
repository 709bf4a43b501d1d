import type { JsonObject, JsonValue } from '../types.ts';
import { readMerge } from './merge.ts';

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isId = (value: JsonValue | undefined): boolean =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** The largest id that a tokenizer.json gives to a token; or what is wrong with it, as far as the library would not notice. */
export function largestIdOrFault(json: JsonObject): number | string {
  const { model, added_tokens = [] } = json;
  if (!isObject(model)) return "has no 'model'";
  if (!Array.isArray(added_tokens)) return "needs a list as 'added_tokens'";
  const odd = added_tokens.findIndex(
    (token) =>
      !isObject(token) || !isId(token.id) || typeof token.content !== 'string' || token.content === '',
  );
  if (odd >= 0) return `has an added token without an id or content: entry ${odd}`;
  const { type, vocab } = model;
  const inVocabulary = Array.isArray(vocab) && type !== 'BPE' ? vocab.length - 1 : checkVocabulary(vocab);
  if (typeof inVocabulary === 'string') return inVocabulary;
  const fault = type === 'BPE' ? checkMerges(model) : null;
  return (
    fault ?? (added_tokens as { id: number }[]).reduce((most, { id }) => Math.max(most, id), inVocabulary)
  );
}

/** One pass: to look up each of so many keys takes longer than all the rest. */
function checkVocabulary(vocab: JsonValue | undefined): number | string {
  if (!isObject(vocab)) return "needs an object as the model's 'vocab'";
  let largest = -1;
  for (const [token, id] of Object.entries(vocab)) {
    if (!isId(id)) return `gives token ${JSON.stringify(token)} the id ${JSON.stringify(id)}`;
    largest = Math.max(largest, id as number);
  }
  return largest;
}

/** A merge of tokens outside the vocabulary would silently lose text. */
function checkMerges(model: JsonObject): string | null {
  if (!Array.isArray(model.merges)) return "needs a list as the model's 'merges'";
  const vocab = model.vocab as JsonObject;
  const prefix = typeof model.continuing_subword_prefix === 'string' ? model.continuing_subword_prefix : '';
  for (const [index, merge] of model.merges.entries()) {
    const tokens = readMerge(merge, prefix);
    if (!tokens) return `has a merge that is no pair: entry ${index}`;
    const missing = tokens.find((token) => !Object.hasOwn(vocab, token));
    if (missing !== undefined) return `merges into or from ${JSON.stringify(missing)}, which has no id`;
  }
  return null;
}
