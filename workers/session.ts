import type { Handle, Prompt, RewindTarget } from '../src/engine/types.ts';
import { EdgeError, throwIfAborted } from '../src/errors.ts';
import type { DecodeOptions, SnapshotDtype } from '../src/state/snapshot.ts';
import { type Abortable, readCallOptions } from './call_options.ts';
import type { EngineClient } from './client.ts';
import { gather, isStream, type PromptStream } from './feed.ts';
import { Generation, type GenerationOptions } from './generation.ts';
import { type SnapshotTarget, snapshotStream, snapshotWriter } from './snapshot.ts';

/** A conversation: the recurrent state of one sequence, in one of the model's `maxSessions` slots. */
export class Session {
  readonly #client: EngineClient;
  readonly #handle: Handle;
  #position = 0;
  #closing: Promise<void> | null = null;
  #streaming = false;

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

  /** @internal */
  static async restore(client: EngineClient, bytes: Uint8Array, options: DecodeOptions): Promise<Session> {
    const session = new Session(client, client.handle());
    session.#position = await client.call((engine) => engine.restoreSession(session.#handle, bytes, options));
    return session;
  }

  /**
   * Tokens consumed so far, as of the last call that ended. The last token of what was appended or generated is
   * pending: it is known, and consumed by what comes next.
   */
  get position(): number {
    return this.#position;
  }

  /**
   * Feeds a prompt; resolves to the new position. Whatever stops it leaves the session as it was before. Of a stream,
   * which may be endless, what was taken stays: it is one turn, and asked for no faster than it is consumed.
   * `{ messages }` is the conversation from its beginning: the session goes back to where it parts from that, if it does.
   * @throws BUSY, ABORTED, CONTEXT_FULL, NO_TOKENIZER, CLOSED
   */
  async append(prompt: Prompt | PromptStream, options?: Abortable): Promise<number> {
    const { signal } = readCallOptions('append', options, ['signal']);
    this.#check();
    if (!isStream(prompt)) return this.#append(prompt, signal, false);
    this.#streaming = true;
    try {
      let continues = false;
      for await (const piece of gather(prompt)) {
        throwIfAborted(signal);
        await this.#append(piece, signal, continues);
        continues = true;
      }
    } finally {
      this.#streaming = false;
    }
    return this.#position;
  }

  /**
   * Continues with a prompt, or with what the session holds if it is empty; `{ messages }` is the conversation from its
   * beginning, of which only what is new is consumed. One generation at a time: else BUSY.
   */
  generate(prompt: Prompt = '', options?: GenerationOptions): Generation {
    this.#check();
    return new Generation(this.#client, this.#handle, prompt, options, () => this.#refresh());
  }

  /**
   * Another session that goes on from here, independent of this one: one copy of the state on the device.
   * @throws OUT_OF_MEMORY if all `maxSessions` slots are taken, BUSY
   */
  async fork(): Promise<Session> {
    this.#check();
    const fork = new Session(this.#client, this.#client.handle());
    await this.#client.call((engine) => engine.forkSession(this.#handle, fork.#handle));
    fork.#position = this.#position;
    return fork;
  }

  /**
   * Goes back to where `position` tokens were consumed (the next one is pending again; 0 is a fresh session), or to
   * before a turn: `{ turn: 0 }` is before the first `append` or `generate`, `{ turn: -1 }` before the last. Costs as
   * much as consuming the tokens since the nearest checkpoint. Resolves to the new position.
   * @throws POSITION_UNAVAILABLE beyond what `maxHistory` and `checkpointBytes` keep, INVALID_ARGUMENT, BUSY, ABORTED
   */
  async rewind(target: RewindTarget, options?: Abortable): Promise<number> {
    const { signal } = readCallOptions('rewind', options, ['signal']);
    this.#check();
    try {
      this.#position = await this.#client.abortable(signal, (engine, call) =>
        engine.rewind(this.#handle, target, call),
      );
    } catch (error) {
      await this.#refresh();
      throw error;
    }
    return this.#position;
  }

  /**
   * The conversation as bytes, for `model.restore()` and `model.session({ from })`: the state, f32 or f16 (half the
   * bytes, a little less exact), the pending token and a checksum. The ids that led here are not part of it.
   */
  async save(options?: { dtype?: SnapshotDtype }): Promise<Uint8Array> {
    const { dtype = 'f32' } = readCallOptions('save', options, ['dtype']);
    this.#check();
    return this.#client.call((engine) => engine.saveSession(this.#handle, dtype));
  }

  /** What `save` gives, in pieces. */
  async saveStream(options?: { dtype?: SnapshotDtype }): Promise<ReadableStream<Uint8Array>> {
    return snapshotStream(await this.save(options));
  }

  /**
   * What `save` gives, into a file by its path or file: URL, a WritableStream, or a file of OPFS: files are replaced as
   * a whole.
   */
  async saveTo(target: SnapshotTarget, options?: { dtype?: SnapshotDtype }): Promise<void> {
    const write = snapshotWriter(target);
    await write(await this.save(options));
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

  async #append(prompt: Prompt, signal: AbortSignal | undefined, continues: boolean): Promise<number> {
    try {
      this.#position = await this.#client.abortable(signal, (engine, call) =>
        engine.append(this.#handle, prompt, call, continues),
      );
    } catch (error) {
      await this.#refresh();
      throw error;
    }
    return this.#position;
  }

  #check(): void {
    if (this.#closing) throw new EdgeError('CLOSED', 'The session was closed. Open another one to go on');
    if (this.#streaming)
      throw new EdgeError('BUSY', 'The session is busy with append of a stream: await it, or abort it');
  }

  async #refresh(): Promise<void> {
    const read = this.#client.call((engine) => engine.position(this.#handle));
    this.#position = await read.catch(() => this.#position); // a dead engine has told why already
  }
}
