import type { ModelInfo, Prompt, Score, SelfTestReport } from '../src/engine/types.ts';
import type { DecodeOptions } from '../src/state/snapshot.ts';
import type { EngineClient } from './client.ts';
import { Generation, type GenerationOptions } from './generation.ts';
import { Session } from './session.ts';
import { readSnapshot, type SnapshotSource } from './snapshot_source.ts';

type Cancellable = { signal?: AbortSignal };

/** Text to ids and back, as the model's own tokenizer does it. */
export interface ModelTokenizer {
  /** @throws NO_TOKENIZER */
  encode(text: string): Promise<Int32Array>;
  /** @throws NO_TOKENIZER, INVALID_ARGUMENT for ids out of range */
  decode(ids: readonly number[] | Int32Array): Promise<string>;
}

/** Weights, tokenizer and config, loaded once by `load()`; immutable until it is disposed. */
export class Model {
  /** What was loaded, what runs it and why, and the bytes that it takes: none of it grows with use. */
  readonly info: ModelInfo;
  readonly tokenizer: ModelTokenizer;
  readonly #client: EngineClient;

  /** @internal */
  constructor(client: EngineClient, info: ModelInfo) {
    this.#client = client;
    this.info = info;
    this.tokenizer = {
      encode: (text) => client.call((engine) => engine.encode(text)),
      decode: (ids) => client.call((engine) => engine.decode(Int32Array.from(ids))),
    };
  }

  /** Generates from a fresh state, on a slot of its own that is freed at the end. */
  generate(prompt: Prompt, options: GenerationOptions = {}): Generation {
    return new Generation(this.#client, null, prompt, options);
  }

  /**
   * Opens a session: a fresh one, or one that goes on `from` what `session.save()` gave (bytes, a Blob, a stream, a
   * URL or, outside browsers, a path).
   * @throws OUT_OF_MEMORY if all `maxSessions` slots are taken; what `restore` throws
   */
  async session(options: { from?: SnapshotSource } & DecodeOptions = {}): Promise<Session> {
    const { from, ...decoding } = options;
    if (from === undefined) return Session.open(this.#client);
    return this.restore(await readSnapshot(from), decoding);
  }

  /**
   * A session that goes on from what `session.save()` gave.
   * @throws INVALID_FILE for damaged bytes, STATE_MISMATCH for those of another model, quantization or version
   */
  restore(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Session> {
    return Session.restore(this.#client, bytes, options);
  }

  /**
   * Logits of the last `last` positions of a prompt (all by default) run from a fresh state: [rows × vocabSize].
   * @throws OUT_OF_MEMORY where that is too large to hold
   */
  async logits(prompt: Prompt, options: Cancellable & { last?: number } = {}): Promise<Float32Array> {
    const ids = typeof prompt === 'string' ? await this.tokenizer.encode(prompt) : prompt;
    return this.#client.abortable(options.signal, (engine, call) =>
      engine.logits(ids, options.last ?? ids.length, call),
    );
  }

  /** Log-probability of every token given those before it, and the perplexity of the whole. */
  score(prompt: Prompt, options: Cancellable = {}): Promise<Score> {
    return this.#client.abortable(options.signal, (engine, call) => engine.score(prompt, call));
  }

  /**
   * Log-probabilities (natural) of each continuation's tokens after the same context, which runs once. Text is
   * tokenized piece by piece: give ids where the border matters.
   */
  scoreContinuations(
    context: Prompt,
    continuations: readonly Prompt[],
    options: Cancellable = {},
  ): Promise<Float32Array[]> {
    return this.#client.abortable(options.signal, (engine, call) =>
      engine.scoreContinuations(context, continuations, call),
    );
  }

  /** Checks this very device: golden tokens and every op against the reference. */
  selfTest(): Promise<SelfTestReport> {
    return this.#client.call((engine) => engine.selfTest());
  }

  /** Frees everything; pending calls reject with CLOSED, later ones too. Calling it again is harmless. */
  dispose(): Promise<void> {
    return this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
