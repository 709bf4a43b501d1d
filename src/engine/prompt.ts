import { EdgeError, requireArgument } from '../errors.ts';
import type { Chat, Tokenizer } from '../tokenizer/index.ts';
import { requireId, show } from './options.ts';
import type { Prompt } from './types.ts';

/** Is it a whole conversation, which begins at the beginning? */
export function isChat(prompt: Prompt): prompt is Chat {
  return typeof prompt === 'object' && prompt !== null && 'messages' in prompt;
}

/** The same, as a prompt to answer. */
export function toAnswer(prompt: Prompt): Prompt {
  return isChat(prompt) ? { addGenerationPrompt: true, ...prompt } : prompt;
}

/** What reads texts, or why there is none. */
export interface Reader {
  tokenizer: Tokenizer | null;
  tokenizerLack?: string | null;
}

/**
 * The ids of a prompt.
 * @throws INVALID_ARGUMENT, or NO_TOKENIZER for text given to a model without one, and what rendering messages throws
 */
export function promptIds(prompt: Prompt, reader: Reader, vocabSize: number): Int32Array {
  if (typeof prompt === 'string') {
    if (prompt === '') return new Int32Array(0);
    return requireTokenizer(reader, 'give token ids instead of text').encode(prompt);
  }
  if (isChat(prompt)) {
    const tokenizer = requireTokenizer(reader, 'give token ids instead of messages');
    return tokenizer.encode(tokenizer.chat.render(prompt)); // special tokens by their text, and no bos but the template's
  }
  requireArgument(
    Array.isArray(prompt) || prompt instanceof Int32Array,
    `A prompt is text, a list of token ids, an Int32Array or { messages }, found ${show(prompt)}${hint(prompt)}`,
  );
  requireArgument(hint(prompt[0]) === '', `A prompt of messages is an object${hint(prompt[0])}`);
  for (const id of prompt) requireId(id, vocabSize, 'prompt');
  return Int32Array.from(prompt);
}

/** What was meant by something that looks like a message. */
function hint(prompt: unknown): string {
  return typeof prompt === 'object' && prompt !== null && 'role' in prompt
    ? ': give { messages: [{ role, content }, …] }'
    : '';
}

export function requireTokenizer({ tokenizer, tokenizerLack = null }: Reader, advice: string): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new EdgeError(
    'NO_TOKENIZER',
    tokenizerLack === null
      ? `This model came without a tokenizer.json: ${advice}`
      : `This model came without a tokenizer: ${tokenizerLack}. Put its tokenizer.json beside the file, or ${advice}`,
  );
}
