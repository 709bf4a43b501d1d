import type { Handle, Prompt } from '../src/engine/types.ts';
import { EdgeError } from '../src/errors.ts';
import type { EngineClient } from './client.ts';
import { Generation, type GenerationOptions } from './generation.ts';

/** A conversation: the recurrent state of one sequence, in one of the model's `maxSessions` slots. */
export class Session {
  readonly #client: EngineClient;
  readonly #handle: Handle;
  #position = 0;
  #closing: Promise<void> | null = null;

  private constructor(client: EngineClient, handle: Handle) {
    this.#client = client;
    this.#handle = handle;
  }

  /** @internal */
  static async open(client: EngineClient): Promise<Session> {
    const handle = client.handle();
    await client.call((engine) => engine.openSession(handle));
    return new Session(client, handle);
  }

  /**
   * Tokens consumed so far, as of the last call that ended. The last token of what was appended or generated is
   * pending: it is known, and consumed by what comes next.
   */
  get position(): number {
    return this.#position;
  }

  /** Feeds a prompt; resolves to the new position. @throws BUSY, ABORTED, CONTEXT_FULL, NO_TOKENIZER, CLOSED */
  async append(prompt: Prompt, options: { signal?: AbortSignal } = {}): Promise<number> {
    this.#check();
    try {
      this.#position = await this.#client.abortable(options.signal, (engine, call) =>
        engine.append(this.#handle, prompt, call),
      );
    } catch (error) {
      await this.#refresh();
      throw error;
    }
    return this.#position;
  }

  /** Continues with a prompt, or with what the session holds if it is empty. One generation at a time: else BUSY. */
  generate(prompt: Prompt = '', options: GenerationOptions = {}): Generation {
    this.#check();
    return new Generation(this.#client, this.#handle, prompt, options, () => this.#refresh());
  }

  /** Forgets everything: the state of a fresh session. */
  async reset(): Promise<void> {
    this.#check();
    await this.#client.call((engine) => engine.resetSession(this.#handle));
    this.#position = 0;
  }

  /** Frees the slot. Calling it again is harmless. */
  close(): Promise<void> {
    this.#closing ??= this.#client
      .call((engine) => engine.closeSession(this.#handle))
      .catch((error: unknown) => {
        if (!(error instanceof EdgeError && error.code === 'CLOSED')) throw error; // gone with its model
      });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #check(): void {
    if (this.#closing) throw new EdgeError('CLOSED', 'The session was closed. Open another one to go on');
  }

  async #refresh(): Promise<void> {
    const read = this.#client.call((engine) => engine.position(this.#handle));
    this.#position = await read.catch(() => this.#position); // a dead engine has told why already
  }
}
