export type { Chat, ChatMessage, ChatOptions, EncodeOptions } from '../api/types/index.ts';
export type { DecodeStream } from './decode_stream.ts';
export { parseTokenizer, Tokenizer, type TokenizerFiles } from './tokenizer.ts';
