export type { Chat, ChatMessage, ChatOptions } from './chat_template.ts';
export type { DecodeStream } from './decode_stream.ts';
export { type EncodeOptions, parseTokenizer, Tokenizer, type TokenizerFiles } from './tokenizer.ts';
