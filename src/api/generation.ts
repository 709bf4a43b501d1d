import { EdgeError } from '../errors.ts';
import type { EngineClient } from './client.ts';
import { type Continued, GenerationRun } from './generation_run.ts';
import type { GenerateResult, GenerationOptions, Prompt, Token } from './types/index.ts';

/** Ends the generations whose iterators were dropped on the way. */
const dropped = new FinalizationRegistry<GenerationRun>((run) => run.drop());

/**
 * A text being generated: iterate over its tokens once, or ask for the whole `result()`.
 * Their texts make the whole text; if some of it is left at the end, a last piece brings it, with the id −1.
 * Nothing runs before that, and nothing is held. Leaving the loop, or aborting `signal`, ends it: a session is then
 * exactly where it would be had it stopped after the last token that was delivered. An iterator that is left without
 * `return()` holds its slot until it is collected as garbage, or until others wait for the slot for half a minute.
 */
export class Generation implements AsyncIterable<Token>, PromiseLike<GenerateResult> {
  readonly #run: GenerationRun;
  #taken = false; // by an iterator, or by result()
  #result: Promise<GenerateResult> | null = null; // that takes the tokens itself

  /** @internal */
  constructor(client: EngineClient, session: Continued | null, prompt: Prompt, options?: GenerationOptions) {
    this.#run = new GenerationRun(client, session, prompt, options);
  }

  /**
   * The tokens as they come; leaving the loop ends the generation.
   * @throws INVALID_ARGUMENT the second time, ABORTED, BUSY, CONTEXT_FULL, CLOSED, and INVALID_ARGUMENT for options that
   *   make no sense
   */
  [Symbol.asyncIterator](): AsyncGenerator<Token, void, undefined> {
    if (!this.#taken) this.#run.listen();
    else this.#takeOver();
    this.#taken = true;
    const tokens = new TokenIterator(this.#run);
    dropped.register(tokens, this.#run, this.#run);
    this.#run.onEnd(() => dropped.unregister(this.#run));
    return tokens;
  }

  #takeOver(): void {
    const result = this.#result;
    this.#result = null; // once
    if (!result || !this.#run.takeOver())
      throw new EdgeError(
        'INVALID_ARGUMENT',
        'A generation can be iterated once, and not after result() took its first token; call generate() again',
      );
    result.catch(() => {}); // the loop tells what failed
  }

  /**
   * The whole text once it is there. Generates it if nothing iterates over this generation; beside a loop it waits
   * for the loop to end, and rejects with ABORTED if that was left early. The loop may begin right after it, too.
   * Tokens that a loop takes are kept from its first one on if `result()` was asked for by then, or with
   * `collect: true`. Else nothing is kept, however long the text: the result then has `finishReason`, `stop`, `seed`
   * and `usage`, and reading its `text` or `tokens` throws INVALID_ARGUMENT.
   * @throws what the generation failed with: see the iterator
   */
  result(): Promise<GenerateResult> {
    if (this.#taken) {
      const result = this.#run.result();
      result.catch(() => {}); // asked for before a loop, awaited after it: the loop has told what failed
      return result;
    }
    this.#taken = true;
    const result = this.#run.result();
    this.#result = result;
    void this.#run.drain();
    return result;
  }

  /** `await generation` is `await generation.result()`. */
  // biome-ignore lint/suspicious/noThenProperty: whoever awaits a generation wants its result
  then<T = GenerateResult, F = never>(
    done?: ((result: GenerateResult) => T | PromiseLike<T>) | null,
    failed?: ((error: unknown) => F | PromiseLike<F>) | null,
  ): Promise<T | F> {
    return this.result().then(done, failed);
  }
}

/** The run does not know of it: when nobody holds it any more, it is collected. */
class TokenIterator implements AsyncGenerator<Token, void, undefined> {
  readonly #run: GenerationRun;

  constructor(run: GenerationRun) {
    this.#run = run;
  }

  next(): Promise<IteratorResult<Token, void>> {
    return this.#run.next(this);
  }

  /** Ends it, also while a `next()` waits, which is done then. */
  async return(): Promise<IteratorResult<Token, void>> {
    await this.#run.leave();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<Token, void>> {
    await this.#run.leave();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run.leave();
  }
}
