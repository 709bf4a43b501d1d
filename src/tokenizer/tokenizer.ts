import {
  ByteLevelPreTokenizer,
  Tokenizer as Library,
  type PreTokenizer,
  SequencePreTokenizer,
} from '@huggingface/tokenizers';
import { EdgeError, requireArgument } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { tokenBytes } from './bytes.ts';
import { ChatTemplates } from './chat_template.ts';
import { largestIdOrFault } from './check.ts';
import { ByteStream, type DecodeStream, WindowStream } from './decode_stream.ts';

/** The text of `tokenizer.json` and, if there is one, what `tokenizer_config.json` holds. */
export interface TokenizerFiles {
  name: string; // for messages: the path or URL of tokenizer.json
  tokenizer: string;
  config?: JsonObject | null;
}

const NOTHING = new Uint8Array(0);

/** Text to ids and back, for a model of `vocabSize` ids; the model's vocabulary may be padded beyond `size`. */
export class Tokenizer {
  /** One more than the largest id that stands for text. */
  readonly size: number;
  private readonly vocab: readonly (string | undefined)[]; // [size]
  private readonly added = new Map<number, Uint8Array>(); // by id: UTF-8

  /** @internal Use `parseTokenizer`. */
  constructor(
    private readonly library: Library,
    readonly vocabSize: number,
    private readonly byteLevel: boolean,
    readonly chat: ChatTemplates,
  ) {
    this.vocab = library.model!.vocab;
    this.size = this.vocab.length;
    const encoder = new TextEncoder();
    for (const [id, token] of library.get_added_tokens_decoder())
      this.added.set(id, encoder.encode(token.content));
  }

  /** The ids of `text`; `specialTokens` adds what the tokenizer puts around a text of its own (bos, eos). */
  encode(text: string, options: { specialTokens?: boolean } = {}): Int32Array {
    requireArgument(typeof text === 'string', `The text to encode must be a string, found ${typeof text}`);
    if (text === '' && !options.specialTokens) return new Int32Array(0);
    const { ids } = this.library.encode(text, { add_special_tokens: options.specialTokens ?? false });
    return Int32Array.from(ids.filter((id) => id !== undefined)); // no id: not in the vocabulary, nor unk
  }

  /** The text of `ids`; bytes that are no UTF-8 read as U+FFFD. @throws INVALID_ARGUMENT for ids out of range */
  decode(ids: readonly number[] | Int32Array): string {
    for (const id of ids)
      requireArgument(
        Number.isInteger(id) && id >= 0 && id < this.vocabSize,
        `Token ids are integers from 0 to ${this.vocabSize - 1}, found ${id}`,
      );
    if (!this.byteLevel) return this.decodeWindow(Array.from(ids));
    const stream = this.stream();
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.flush();
  }

  /** Decodes token by token. */
  stream(): DecodeStream {
    return this.byteLevel
      ? new ByteStream((id) => this.bytes(id))
      : new WindowStream((ids) => this.decodeWindow(ids));
  }

  /** What a token of a byte-level vocabulary stands for; nothing for the padding of the model's vocabulary. */
  private bytes(id: number): Uint8Array {
    const added = this.added.get(id);
    if (added) return added;
    const token = this.vocab[id];
    return token === undefined ? NOTHING : tokenBytes(token);
  }

  private decodeWindow(ids: readonly number[]): string {
    const known = ids.filter((id) => this.vocab[id] !== undefined);
    if (known.length === 0) return '';
    return this.library.decode(known, { clean_up_tokenization_spaces: false });
  }
}

/**
 * Reads a tokenizer for a model of `vocabSize` ids.
 * @throws INVALID_FILE if it is damaged, or has ids that the model lacks
 */
export function parseTokenizer(files: TokenizerFiles, vocabSize: number): Tokenizer {
  const json = parseObject(files.tokenizer, files.name);
  const largest = largestIdOrFault(json);
  if (typeof largest === 'string') throw invalid(files.name, largest);
  if (largest >= vocabSize)
    throw invalid(
      files.name,
      `has ids up to ${largest}, but the model's vocabulary has ${vocabSize}: they don't belong together`,
    );
  const config = files.config ?? {};
  const library = construct(files.name, json, config);
  const chat = new ChatTemplates(files.name, config);
  return new Tokenizer(library, vocabSize, isByteLevel(json.decoder), chat);
}

function construct(name: string, json: JsonObject, config: JsonObject): Library {
  const absent = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
  try {
    const library = new Library({ added_tokens: [], ...absent, ...json }, config);
    correctWhitespace(library.pre_tokenizer);
    return library;
  } catch (cause) {
    throw invalid(name, `can't be used: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

/**
 * The library's pattern of the byte-level pre-tokenizer takes JavaScript's `\s`, which lacks U+0085 and adds U+FEFF;
 * the original splits at Unicode's White_Space.
 */
function correctWhitespace(step: PreTokenizer | null): void {
  if (step instanceof SequencePreTokenizer) step.tokenizers.forEach(correctWhitespace);
  if (step instanceof ByteLevelPreTokenizer)
    step.pattern =
      /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
}

function parseObject(text: string, name: string): JsonObject {
  let json: JsonValue;
  try {
    json = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw invalid(name, `is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw invalid(name, 'is JSON, but not an object');
  return json;
}

function isByteLevel(decoder: JsonValue | undefined): boolean {
  return (decoder as JsonObject | null | undefined)?.type === 'ByteLevel';
}

function invalid(name: string, fault: string, cause?: unknown): EdgeError {
  return new EdgeError(
    'INVALID_FILE',
    `The tokenizer ${name} ${fault}`,
    cause === undefined ? {} : { cause },
  );
}
