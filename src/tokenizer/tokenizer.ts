import { Tokenizer as Library } from '@huggingface/tokenizers';
import type { Chat, EncodeOptions } from '../api/types/index.ts';
import { EdgeError, messageOf, requireArgument } from '../errors.ts';
import type { JsonObject, JsonValue } from '../types.ts';
import { tokenBytes } from './bytes.ts';
import { ChatTemplates } from './chat_template.ts';
import { largestIdOrFault } from './check.ts';
import { ByteStream, type DecodeStream, WindowStream } from './decode_stream.ts';
import { correctDecoder } from './decoder.ts';
import { Encoder } from './encoder.ts';
import { LiteralRenderer } from './literal.ts';
import { firstIdsOrFault } from './special_tokens.ts';

/** The text of `tokenizer.json` and, if there is one, what `tokenizer_config.json` holds. */
export interface TokenizerFiles {
  name: string; // for messages: the path or URL of tokenizer.json
  tokenizer: string;
  config?: JsonObject | null;
}

const MOST_IDS = 2 ** 21;
const NOTHING = new Uint8Array(0);

/** Text to ids and back, for a model of `vocabSize` ids; the model's vocabulary may be padded beyond `size`. */
export class Tokenizer {
  /** One more than the largest id that stands for text. */
  readonly size: number;
  private readonly vocab: readonly (string | undefined)[]; // [size]
  private readonly added = new Map<number, Uint8Array>(); // by id: UTF-8

  private readonly special = new Set<number>();
  private readonly literal: LiteralRenderer;

  /** @internal Use `parseTokenizer`. */
  constructor(
    private readonly library: Library,
    private readonly encoder: Encoder,
    readonly vocabSize: number,
    private readonly byteLevel: boolean,
    /** Ids that begin a text of its own: bos, where the tokenizer has it so. */
    readonly firstIds: readonly number[],
    readonly chat: ChatTemplates,
  ) {
    this.vocab = library.model!.vocab;
    this.size = this.vocab.length;
    const utf8 = new TextEncoder();
    for (const [id, token] of library.get_added_tokens_decoder()) {
      this.added.set(id, utf8.encode(token.content));
      if (token.special) this.special.add(id);
    }
    const specials = [...this.special].map((id) => this.vocab[id]!);
    this.literal = new LiteralRenderer(specials, new Set(chat.tokens));
  }

  /** The ids of `text`, at once. @throws INVALID_ARGUMENT for tokens that the model lacks */
  encode(text: string, options: EncodeOptions = {}): Int32Array {
    const work = this.encoding(text, options);
    for (;;) {
      const { done, value } = work.next();
      if (done) return value;
    }
  }

  /** The same in pieces: yields where others may run. */
  *encoding(text: string, options: EncodeOptions = {}): Generator<void, Int32Array> {
    requireArgument(typeof text === 'string', `The text to encode must be a string, found ${typeof text}`);
    const { addSpecialTokens = false, parseSpecial = true, continues = false } = options;
    const ids = this.known(yield* this.encoder.encode(text, { parseSpecial, continues }));
    const first = addSpecialTokens ? this.firstIds : [];
    if (first.every((id, i) => id === ids[i])) return ids;
    const all = new Int32Array(first.length + ids.length);
    all.set(first);
    all.set(ids, first.length);
    return all;
  }

  /**
   * Renders a conversation at once, and gives what encodes it. Special tokens in what was said are text, unless
   * `parseSpecial` is true; nothing is put before what the template writes.
   */
  encodingChat(chat: Chat): () => Generator<void, Int32Array> {
    const render = (some: Chat) => this.chat.render(some);
    const { text, literal } = chat.parseSpecial
      ? { text: render(chat), literal: undefined }
      : this.literal.render(chat, render);
    const { encoder } = this;
    const known = (ids: Int32Array) => this.known(ids);
    return function* () {
      return known(yield* encoder.encode(text, { parseSpecial: true, literal, continues: false }));
    };
  }

  /** The same ids, none of a token that the model has no embedding for. @throws INVALID_ARGUMENT */
  private known(ids: Int32Array): Int32Array {
    const odd = this.size > this.vocabSize ? ids.find((id) => id >= this.vocabSize) : undefined;
    requireArgument(
      odd === undefined,
      `The text holds ${JSON.stringify(this.vocab[odd!])}, token ${odd} of the tokenizer, but the model has ids from 0 to ` +
        `${this.vocabSize - 1} only: leave it out, or check that tokenizer.json belongs to this model`,
    );
    return ids;
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

  /**
   * Decodes token by token what follows `before`, of which the last ids are enough: together they make the text of all.
   * Where nothing but special tokens is before, a text begins.
   */
  stream(before: ArrayLike<number> = []): DecodeStream {
    if (this.byteLevel) return new ByteStream((id) => this.bytes(id));
    const known = Array.from(before).filter((id) => this.vocab[id] !== undefined);
    const text = known.some((id) => !this.special.has(id)) ? known : [];
    return new WindowStream((ids) => this.decodeWindow(ids), text);
  }

  /** The bytes of a token of a byte-level vocabulary; nothing for the padding of the model's vocabulary. */
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
 * Reads a tokenizer for a model of `vocabSize` ids. It may have more: only text that needs them is refused.
 * @throws INVALID_FILE if it is damaged
 */
export function parseTokenizer(files: TokenizerFiles, vocabSize: number): Tokenizer {
  const json = parseObject(files.tokenizer, files.name);
  const largest = largestIdOrFault(json);
  if (typeof largest === 'string') throw invalid(files.name, largest);
  if (largest >= MOST_IDS)
    throw invalid(files.name, `has ids up to ${largest}; at most ${MOST_IDS} ids are read`);
  const config = files.config ?? {};
  const library = construct(files.name, json, config);
  const first = firstIdsOrFault(json, config, (token) => library.token_to_id(token));
  if (typeof first === 'string') throw invalid(files.name, first);
  const chat = new ChatTemplates(files.name, config);
  const encoder = new Encoder(library, json);
  const firstIds = first.filter((id) => id < vocabSize);
  return new Tokenizer(library, encoder, vocabSize, isByteLevel(json.decoder), firstIds, chat);
}

function construct(name: string, json: JsonObject, config: JsonObject): Library {
  const absent = { normalizer: null, pre_tokenizer: null, decoder: null };
  // Our own encoder is used: the library would make a table of the merges that is never read.
  const model = {
    ...(json.model as JsonObject),
    ...((json.model as JsonObject).type === 'BPE' && { merges: [] }),
  };
  try {
    const library = new Library(
      { added_tokens: [], ...absent, ...json, model, post_processor: null },
      config,
    );
    correctDecoder(json.decoder, library.decoder);
    return library;
  } catch (cause) {
    throw invalid(name, `can't be used: ${messageOf(cause)}`, cause);
  }
}

function parseObject(text: string, name: string): JsonObject {
  let json: JsonValue;
  try {
    json = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw invalid(name, `is no JSON: ${messageOf(cause)}`, cause);
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
