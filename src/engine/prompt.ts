import { EdgeError, requireArgument } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { requireId, show } from './options.ts';
import type { Prompt } from './types.ts';

/** The ids of a prompt. @throws INVALID_ARGUMENT, or NO_TOKENIZER for text given to a model without one */
export function promptIds(prompt: Prompt, tokenizer: Tokenizer | null, vocabSize: number): Int32Array {
  if (typeof prompt === 'string') {
    if (prompt === '') return new Int32Array(0);
    return requireTokenizer(tokenizer, 'give token ids instead of text').encode(prompt);
  }
  requireArgument(
    Array.isArray(prompt) || prompt instanceof Int32Array,
    `A prompt is text, a list of token ids or an Int32Array, found ${show(prompt)}`,
  );
  for (const id of prompt) requireId(id, vocabSize, 'prompt');
  return Int32Array.from(prompt);
}

export function requireTokenizer(tokenizer: Tokenizer | null, advice: string): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new EdgeError('NO_TOKENIZER', `This model came without a tokenizer.json: ${advice}`);
}
