import { EdgeError, requireArgument, show } from '../../errors.ts';
import type { Chat, Tokenizer } from '../../tokenizer/index.ts';
import type { Call } from '../core/call.ts';
import { EventLoop } from '../core/event_loop.ts';
import type { EngineInfo, Prompt, PromptOptions } from '../types.ts';
import { readFlag, requireId } from './options.ts';

/** Is it a whole conversation, which begins at the beginning? */
export function isChat(prompt: Prompt): prompt is Chat {
  return typeof prompt === 'object' && prompt !== null && 'messages' in prompt;
}

/** The same, as a prompt to answer. */
export function toAnswer(prompt: Prompt): Prompt {
  return isChat(prompt) ? { addGenerationPrompt: true, ...prompt } : prompt;
}

/** The tokenizer, or why there is none. */
export interface Reader {
  tokenizer: Tokenizer | null;
  tokenizerLack?: string | null;
}

/** The ids of a prompt, or what gives them piece by piece; does a sequence begin with it? */
export type Encoding = (first: boolean) => Int32Array | Generator<void, Int32Array>;

/**
 * Checks a prompt, and renders one of messages. A text that begins a sequence gets what the tokenizer puts before one,
 * unless `addSpecialTokens` is false; one that goes on stands as it is, without the space that some tokenizers put
 * before a text; messages begin as their template has it.
 * @throws INVALID_ARGUMENT, or NO_TOKENIZER for text given to a model without one, and what rendering messages throws
 */
export function readPrompt(
  prompt: Prompt,
  options: PromptOptions,
  reader: Reader,
  vocabSize: number,
): Encoding {
  const addSpecialTokens = readFlag(options, 'addSpecialTokens', true);
  const parseSpecial = readFlag(options, 'parseSpecial', true);
  if (prompt === '') return () => new Int32Array(0);
  if (typeof prompt === 'string') {
    const tokenizer = requireTokenizer(reader, 'give token ids instead of text');
    return (first) =>
      tokenizer.encoding(prompt, {
        parseSpecial,
        addSpecialTokens: addSpecialTokens && first,
        continues: !first,
      });
  }
  if (isChat(prompt)) {
    const tokenizer = requireTokenizer(reader, 'give token ids instead of messages');
    const parseInMessages = readFlag(
      { parseSpecial: options.parseSpecial, ...prompt },
      'parseSpecial',
      false,
    );
    return tokenizer.encodingChat({ ...prompt, parseSpecial: parseInMessages });
  }
  requireArgument(
    Array.isArray(prompt) || prompt instanceof Int32Array,
    `A prompt is text, a list of token ids, an Int32Array or { messages }, found ${show(prompt)}${hint(prompt)}`,
  );
  requireArgument(hint(prompt[0]) === '', `A prompt of messages is an object${hint(prompt[0])}`);
  for (const id of prompt) requireId(id, vocabSize, 'prompt');
  const ids = Int32Array.from(prompt);
  return () => ids;
}

/** Runs an encoding to its end. Between pieces others have their turn, and `call` may be aborted. */
export async function encode(work: ReturnType<Encoding>, call: Call): Promise<Int32Array> {
  if (work instanceof Int32Array) return work;
  const loop = new EventLoop();
  try {
    for (;;) {
      call.check();
      const { done, value } = work.next();
      if (done) return value;
      await loop.turn();
    }
  } finally {
    loop.rest();
  }
}

/** The token that a fresh sequence without a prompt starts from. @throws INVALID_ARGUMENT where there is nothing */
export function firstIds(tokenizer: Tokenizer | null, info: EngineInfo): Int32Array {
  const own = tokenizer?.firstIds ?? [];
  const first = info.bosTokenId ?? info.eosTokenIds[0];
  if (own.length > 0) return Int32Array.from(own);
  if (first !== undefined) return Int32Array.of(first);
  throw new EdgeError(
    'INVALID_ARGUMENT',
    'The prompt is empty, and the model has neither a bos nor an eos token to start from: give at least one token',
  );
}

/** The advice for something that looks like a message. */
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
