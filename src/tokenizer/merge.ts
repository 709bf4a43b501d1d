import type { JsonValue } from '../types.ts';

/** A merge of a tokenizer.json, as a text or a list of two: left, right, and what they become; null if it is no pair. */
export function readMerge(merge: JsonValue, prefix: string): [string, string, string] | null {
  const parts = typeof merge === 'string' ? merge.split(' ') : merge;
  if (!Array.isArray(parts) || parts.length !== 2) return null;
  const [left, right] = parts;
  if (typeof left !== 'string' || typeof right !== 'string') return null;
  return [left, right, left + (right.startsWith(prefix) ? right.slice(prefix.length) : right)];
}
