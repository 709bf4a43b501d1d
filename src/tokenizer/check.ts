import type { JsonObject, JsonValue } from '../types.ts';

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isId = (value: JsonValue | undefined): boolean =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

/** What is wrong with a tokenizer.json, as far as the library would not notice; null if nothing is. */
export function findFault(json: JsonObject): string | null {
  const { model, added_tokens = [] } = json;
  if (!isObject(model)) return "has no 'model'";
  if (!Array.isArray(added_tokens)) return "needs a list as 'added_tokens'";
  const odd = added_tokens.findIndex(
    (token) =>
      !isObject(token) || !isId(token.id) || typeof token.content !== 'string' || token.content === '',
  );
  if (odd >= 0) return `has an added token without an id or content: entry ${odd}`;
  if (model.type === 'BPE') return checkBpe(model);
  return Array.isArray(model.vocab) ? null : checkVocabulary(model.vocab);
}

function checkVocabulary(vocab: JsonValue | undefined): string | null {
  if (!isObject(vocab)) return "needs an object as the model's 'vocab'";
  for (const [token, id] of Object.entries(vocab))
    if (!isId(id)) return `gives token ${JSON.stringify(token)} the id ${JSON.stringify(id)}`;
  return null;
}

/** The largest id that a tokenizer.json without faults gives to a token. */
export function largestId({ model, added_tokens = [] }: JsonObject): number {
  const { vocab } = model as JsonObject;
  const ids = Array.isArray(vocab) ? vocab.keys() : Object.values(vocab as JsonObject);
  let largest = -1;
  for (const id of ids) largest = Math.max(largest, id as number);
  for (const token of added_tokens as { id: number }[]) largest = Math.max(largest, token.id);
  return largest;
}

/** A merge of tokens outside the vocabulary would silently lose text. */
function checkBpe(model: JsonObject): string | null {
  const fault = checkVocabulary(model.vocab);
  if (fault) return fault;
  if (!Array.isArray(model.merges)) return "needs a list as the model's 'merges'";
  const vocab = model.vocab as JsonObject;
  const prefix = typeof model.continuing_subword_prefix === 'string' ? model.continuing_subword_prefix : '';
  for (const [index, merge] of model.merges.entries()) {
    const parts = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(parts) || parts.length !== 2 || parts.some((part) => typeof part !== 'string'))
      return `has a merge that is no pair: entry ${index}`;
    const [left, right] = parts as [string, string];
    const merged = left + (right.startsWith(prefix) ? right.slice(prefix.length) : right);
    const missing = [left, right, merged].find((token) => !Object.hasOwn(vocab, token));
    if (missing !== undefined) return `merges into or from ${JSON.stringify(missing)}, which has no id`;
  }
  return null;
}
