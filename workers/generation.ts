import type { Burst, GenerateOptions, GenerateResult, Handle, Prompt, Token } from '../src/engine/types.ts';
import { EdgeError, throwIfAborted } from '../src/errors.ts';
import { type Abortable, readCallOptions } from './call_options.ts';
import type { EngineClient } from './client.ts';

/** Options of `generate`. */
export interface GenerationOptions extends GenerateOptions, Abortable {}

/** The id of a last piece of text that has no token of its own: what a possible stop string had held back. */
const NO_TOKEN = -1;

/**
 * A text being generated: iterate over its tokens once, or ask for the whole `result()`.
 * Their texts make the whole text; if some of it is left at the end, a last piece brings it, with the id −1.
 * Nothing runs before that. Leaving the loop, or aborting `signal`, ends it: a session is then exactly where it
 * would be had it stopped after the last token that was delivered.
 */
export class Generation implements AsyncIterable<Token>, PromiseLike<GenerateResult> {
  readonly #client: EngineClient;
  readonly #session: Handle | null;
  readonly #prompt: Prompt;
  readonly #options: GenerateOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #onEnd: () => Promise<void>;
  readonly #tokens: Token[] = [];
  readonly #caller = new Error(); // where `generate` was called
  #started = false;
  #outcome: { result: GenerateResult } | { error: unknown } | null = null;
  #waiting: (() => void)[] = [];

  /** @internal */
  constructor(
    client: EngineClient,
    session: Handle | null,
    prompt: Prompt,
    options?: GenerationOptions,
    onEnd: () => Promise<void> = async () => {},
  ) {
    this.#client = client;
    this.#session = session;
    this.#prompt = prompt;
    const { signal, ...rest } = readCallOptions('generate', options);
    this.#options = rest;
    this.#signal = signal;
    this.#onEnd = onEnd;
  }

  /** @throws INVALID_ARGUMENT the second time, ABORTED, BUSY, CONTEXT_FULL, and whatever the options earn. */
  [Symbol.asyncIterator](): AsyncGenerator<Token, void, undefined> {
    if (this.#started)
      throw new EdgeError('INVALID_ARGUMENT', 'A generation can be iterated once; call generate() again');
    this.#started = true;
    return this.#run();
  }

  /**
   * The whole text once it is there. Generates it if nothing iterates over this generation; beside a loop it waits
   * for the loop to end, and rejects with ABORTED if that was left early.
   */
  async result(): Promise<GenerateResult> {
    if (!this.#started) for await (const _ of this);
    while (!this.#outcome) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if ('error' in this.#outcome) throw this.#outcome.error;
    return this.#outcome.result;
  }

  /** `await generation` is `await generation.result()`. */
  // biome-ignore lint/suspicious/noThenProperty: whoever awaits a generation wants its result
  then<T = GenerateResult, F = never>(
    done?: ((result: GenerateResult) => T | PromiseLike<T>) | null,
    failed?: ((error: unknown) => F | PromiseLike<F>) | null,
  ): Promise<T | F> {
    return this.result().then(done, failed);
  }

  async *#run(): AsyncGenerator<Token, void, undefined> {
    const generation = this.#client.handle();
    let open = false; // is there anything in the engine to stop?
    try {
      throwIfAborted(this.#signal);
      await this.#client.call(
        (engine) => engine.startGeneration(generation, this.#session, this.#prompt, this.#options),
        this.#caller,
      );
      open = true;
      for (;;) {
        const { tokens, end } = await this.#next(generation);
        for (const token of tokens) {
          throwIfAborted(this.#signal);
          this.#tokens.push(token);
          yield token;
        }
        if (!end) continue;
        open = false;
        const text = this.#tokens.map((token) => token.text).join('') + end.text;
        this.#outcome = { result: { ...end, text, tokens: this.#tokens } };
        if (end.text !== '') yield { id: NO_TOKEN, text: end.text };
        return;
      }
    } catch (error) {
      this.#outcome = { error };
      throw error;
    } finally {
      const delivered = this.#tokens.length;
      this.#outcome ??= {
        error: new EdgeError('ABORTED', `The generation was left after ${delivered} tokens`),
      };
      if (open) await this.#stop(generation, delivered);
      await this.#onEnd();
      for (const wake of this.#waiting) wake();
    }
  }

  /** The next burst, or ABORTED as soon as the signal says so. */
  #next(generation: Handle): Promise<Burst> {
    const burst = this.#client.call((engine) => engine.nextBurst(generation), this.#caller);
    const signal = this.#signal;
    if (!signal) return burst;
    return new Promise<Burst>((resolve, reject) => {
      const abort = () => {
        try {
          throwIfAborted(signal);
        } catch (error) {
          reject(error);
        }
      };
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
      burst.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
  }

  /** What makes this fail (a dead worker, a disposed model) is what ended the generation, or shows on the next call. */
  async #stop(generation: Handle, delivered: number): Promise<void> {
    await this.#client.call((engine) => engine.stopGeneration(generation, delivered)).catch(() => {});
  }
}
