import { PROMPT_OPTIONS, readCallOptions, readIds } from './call_options.ts';
import type { EngineClient } from './client.ts';
import { Generation } from './generation.ts';
import { Session } from './session.ts';
import { readSnapshot } from './snapshot.ts';
import type {
  Abortable,
  ChatMessage,
  ChatOptions,
  DecodeOptions,
  EncodeOptions,
  GenerationOptions,
  LogitsOptions,
  ModelInfo,
  Prompt,
  PromptOptions,
  Score,
  SelfTestReport,
  SessionOptions,
  SnapshotSource,
  StateStats,
} from './types/index.ts';

/** The most bytes that a snapshot has beside the state. */
const SNAPSHOT_EXTRA = 4096;

const RESTORE_OPTIONS = ['allowQuantization', 'signal'] as const;

/** Text to ids and back, as the model's own tokenizer does it. */
export interface ModelTokenizer {
  /**
   * The ids of a text by themselves: as a prompt it may get bos, which `addSpecialTokens` adds here too (false by
   * default). Long texts are encoded in pieces, between which sessions go on and `signal` is heard.
   * @throws NO_TOKENIZER, ABORTED
   */
  encode(text: string, options?: EncodeOptions & Abortable): Promise<Int32Array>;
  /**
   * The text of token ids. Bytes that are no whole character become U+FFFD.
   * @throws NO_TOKENIZER, INVALID_ARGUMENT for ids out of range
   */
  decode(ids: readonly number[] | Int32Array): Promise<string>;
}

/**
 * Weights, tokenizer and config, loaded once by `load()`; immutable until it is disposed. Its calls, and those of its
 * sessions, also reject with CLOSED after that, with WORKER_DIED if its worker ended, with DEVICE_LOST if its GPU went
 * away, and with INVALID_ARGUMENT for options that make no sense.
 */
export class Model {
  /** Text to ids and back. */
  readonly tokenizer: ModelTokenizer;
  readonly #client: EngineClient;
  #info: ModelInfo;

  /** @internal */
  constructor(client: EngineClient, info: ModelInfo) {
    this.#client = client;
    this.#info = frozen(info);
    this.tokenizer = {
      encode: async (text, options) => {
        const { signal, ...rest } = readCallOptions('encode', options, [...PROMPT_OPTIONS, 'continues']);
        return client.abortable(signal, (engine, call) => engine.encode(text, rest, call));
      },
      decode: async (ids) => {
        const read = readIds(ids);
        return client.call((engine) => engine.decode(read));
      },
    };
  }

  /** What was loaded, what runs it and why, and the bytes that it takes: none of it grows with use. */
  get info(): ModelInfo {
    return this.#info;
  }

  /**
   * The text of a conversation, as the model's chat template writes it: what `{ messages }` is as a prompt.
   * @throws NO_CHAT_TEMPLATE, NO_TOKENIZER, INVALID_ARGUMENT if the template refuses the messages, INVALID_FILE if it
   *   can't be read, or takes more than a template may
   */
  async applyChatTemplate(messages: readonly ChatMessage[], options?: ChatOptions): Promise<string> {
    const read = readCallOptions('applyChatTemplate', options);
    return this.#client.call((engine) => engine.render({ ...read, messages }));
  }

  /**
   * Generates from a fresh state, on a slot of its own that is freed at the end. Nothing runs before the generation is
   * iterated or awaited, which tells what fails.
   * @throws INVALID_ARGUMENT for a `signal` or `collect` that is none
   */
  generate(prompt: Prompt, options?: GenerationOptions): Generation {
    return new Generation(this.#client, null, prompt, options);
  }

  /**
   * Opens a session, from a snapshot if one is given: a prompt that was saved costs no prefill.
   * Waits in turn for one of the `maxSessions` slots where that comes free by itself.
   * @throws OUT_OF_MEMORY if open sessions hold all of them, BUSY beyond `maxQueue`, and whatever `restore` throws
   */
  async session(options?: SessionOptions): Promise<Session> {
    const { from, ...rest } = readCallOptions('session', options, ['from', ...RESTORE_OPTIONS]);
    return from === undefined ? Session.open(this.#client, rest.signal) : this.restore(from, rest);
  }

  /**
   * Opens a session with what `Session.save` saved, here or on another backend.
   * @throws STATE_MISMATCH if it belongs to another model, INVALID_FILE if a byte of it is damaged, NOT_FOUND,
   *   NETWORK, OUT_OF_MEMORY, CONTEXT_FULL
   */
  async restore(source: SnapshotSource, options?: DecodeOptions & Abortable): Promise<Session> {
    const { signal, ...rest } = readCallOptions('restore', options, RESTORE_OPTIONS);
    const most = this.info.slotBytes + SNAPSHOT_EXTRA;
    const bytes = await readSnapshot(source, most, { signal, lives: [this.#client.life] });
    return Session.restore(this.#client, bytes, rest, signal);
  }

  /** What the state manager holds now: sessions, checkpoints, and what the prefix cache did. */
  stats(): Promise<StateStats> {
    return this.#client.call((engine) => engine.stats());
  }

  /**
   * Logits of the last `last` positions of a prompt (all by default) run from a fresh state: [rows × vocabSize], row by
   * row.
   * @throws OUT_OF_MEMORY where that is too large to hold, CONTEXT_FULL, NO_TOKENIZER, BUSY, ABORTED
   */
  async logits(prompt: Prompt, options?: LogitsOptions): Promise<Float32Array> {
    const { signal, last = null, ...rest } = readCallOptions('logits', options, [...PROMPT_OPTIONS, 'last']);
    return this.#client.abortable(signal, (engine, call) => engine.logits(prompt, last, call, rest));
  }

  /**
   * Natural log-probability of every token of a text given those before it, and the perplexity of the whole.
   * @throws CONTEXT_FULL, NO_TOKENIZER, BUSY, ABORTED
   */
  async score(prompt: Prompt, options?: PromptOptions & Abortable): Promise<Score> {
    const { signal, ...rest } = readCallOptions('score', options, PROMPT_OPTIONS);
    return this.#client.abortable(signal, (engine, call) => engine.score(prompt, call, rest));
  }

  /**
   * Log-probabilities (natural) of each continuation's tokens after the same context, which runs once. Text is
   * tokenized piece by piece, a continuation as text that goes on: give ids where the border matters. One array a
   * continuation, [its tokens].
   * @throws CONTEXT_FULL, NO_TOKENIZER, BUSY, ABORTED
   */
  async scoreContinuations(
    context: Prompt,
    continuations: readonly Prompt[],
    options?: PromptOptions & Abortable,
  ): Promise<Float32Array[]> {
    const { signal, ...rest } = readCallOptions('scoreContinuations', options, PROMPT_OPTIONS);
    return this.#client.abortable(signal, (engine, call) =>
      engine.scoreContinuations(context, continuations, call, rest),
    );
  }

  /** Checks this very device: golden tokens and every op against the reference. */
  selfTest(): Promise<SelfTestReport> {
    return this.#client.call((engine) => engine.selfTest());
  }

  /**
   * After a call rejected with DEVICE_LOST: loads the model again, on another device or, with `backend: 'auto'`, on
   * whatever runs here then. Its sessions go on after the last token that was delivered: from their checkpoints in
   * host memory, and the ids since. One whose past is no longer known can only be reset. Does nothing where no device
   * was lost.
   * @throws as `load`; it can be tried again
   */
  async recover(): Promise<ModelInfo> {
    this.#info = frozen(await this.#client.call((engine) => engine.recover()));
    return this.#info;
  }

  /** Frees everything; pending calls reject with CLOSED, later ones too. Calling it again is harmless. */
  dispose(): Promise<void> {
    return this.#client.close();
  }

  /** `dispose`, at the end of the scope of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** What is told of a model is not to be written to. */
function frozen<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) frozen(part);
  return Object.freeze(value);
}
