import type { RemoteEngine } from '../../workers/protocol.ts';
import type { Handle } from '../engine/types.ts';
import { EdgeError } from '../errors.ts';
import { PROMPT_OPTIONS, readCallOptions } from './call_options.ts';
import type { EngineClient } from './client.ts';
import { isStream } from './feed.ts';
import { Generation } from './generation.ts';
import { Intake } from './intake.ts';
import { Lifetime, unlessEnded } from './lifetime.ts';
import { snapshotStream, snapshotWriter } from './snapshot.ts';
import type {
  Abortable,
  DecodeOptions,
  GenerationOptions,
  Prompt,
  PromptOptions,
  PromptStream,
  RewindTarget,
  SaveOptions,
  SnapshotTarget,
} from './types/index.ts';

const closed = () => new EdgeError('CLOSED', 'The session was closed. Open another one to go on');

/** Frees the slots of sessions that nobody holds any more, and nobody closed. */
const dropped = new FinalizationRegistry<{ client: EngineClient; handle: Handle }>(({ client, handle }) => {
  client.call((engine) => engine.closeSession(handle)).catch(() => {}); // gone with its model
});

/** A conversation: the recurrent state of one sequence, in one of the model's `maxSessions` slots. */
export class Session {
  readonly #life = new Lifetime(); // ends with close()
  readonly #client: EngineClient;
  readonly #handle: Handle;
  #position = 0;
  #closing: Promise<void> | null = null;
  #streaming = false;

  private constructor(client: EngineClient, handle: Handle) {
    this.#client = client;
    this.#handle = handle;
    dropped.register(this, { client, handle }, this);
  }

  /** @internal */
  static async open(client: EngineClient, signal?: AbortSignal): Promise<Session> {
    const open = (engine: RemoteEngine, handle: Handle) => engine.openSession(handle);
    const handle = client.handle();
    await client.abortable(signal, open, handle);
    return new Session(client, handle);
  }

  /** @internal */
  static async restore(
    client: EngineClient,
    bytes: Uint8Array,
    options: DecodeOptions,
    signal?: AbortSignal,
  ): Promise<Session> {
    const restore = (engine: RemoteEngine, handle: Handle) => engine.restoreSession(handle, bytes, options);
    const handle = client.handle();
    const position = await client.abortable(signal, restore, handle);
    const session = new Session(client, handle);
    session.#position = position;
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
   * Feeds a prompt; resolves to the new position. Whatever stops it leaves the session as it was before.
   * Of a stream, which may be endless, text is consumed as it comes, up to its last space between two words; the rest
   * waits for the next part, or the stream's end. What was consumed stays, as one turn. An abort while the stream is
   * quiet consumes what waited, too; one while a piece is being consumed leaves that piece out: the error's
   * `unconsumed` has what the stream gave and the session did not consume. The stream is asked for no more than 4,096
   * characters or ids ahead (65,536 where no such space comes), and told by `return()` if it is left early.
   * `{ messages }` is the conversation from its beginning: the session goes back to where it parts from that, if it does.
   * @throws BUSY, ABORTED, CONTEXT_FULL, NO_TOKENIZER, CLOSED, and what the stream throws
   */
  async append(prompt: Prompt | PromptStream, options?: PromptOptions & Abortable): Promise<number> {
    const { signal, ...rest } = readCallOptions('append', options, PROMPT_OPTIONS);
    this.#check();
    if (!isStream(prompt)) return this.#append(prompt, signal, rest);
    this.#streaming = true;
    try {
      let continues = false;
      const intake = new Intake(prompt, async (piece, stop) => {
        await this.#append(piece, stop, { ...rest, continues });
        continues = true;
      });
      await intake.run({ signal, lives: [this.#client.life, this.#life] });
    } finally {
      this.#streaming = false;
    }
    return this.#position;
  }

  /**
   * Continues with a prompt, or with what the session holds if it is empty; `{ messages }` is the conversation from its
   * beginning, of which only what is new is consumed. Nothing runs before the generation is iterated or awaited, which
   * tells what fails; one at a time: else BUSY.
   * @throws CLOSED, BUSY beside `append` of a stream, INVALID_ARGUMENT for a `signal` or `collect` that is none
   */
  generate(prompt: Prompt = '', options?: GenerationOptions): Generation {
    this.#check();
    const session = { handle: this.#handle, life: this.#life, refresh: () => this.#refresh() };
    return new Generation(this.#client, session, prompt, options);
  }

  /**
   * Another session that goes on from here, independent of this one: one copy of the state on the device.
   * @throws OUT_OF_MEMORY if open sessions hold all `maxSessions` slots, BUSY, ABORTED
   */
  async fork(options?: Abortable): Promise<Session> {
    const { signal } = readCallOptions('fork', options, ['signal']);
    this.#check();
    const copy = (engine: RemoteEngine, handle: Handle) => engine.forkSession(this.#handle, handle);
    const handle = this.#client.handle();
    await this.#client.abortable(signal, copy, handle);
    const fork = new Session(this.#client, handle);
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
   * bytes, a little less exact), the pending token and a checksum. The ids that led here are not part of it. In f32 it
   * has at most `model.info.slotBytes` + 4 KiB, however long the conversation; fewer while its windows are not full.
   * @throws INVALID_ARGUMENT where f16 can't hold the state, BUSY, CLOSED, ABORTED
   */
  async save(options?: SaveOptions): Promise<Uint8Array> {
    const { dtype = 'f32', signal } = readCallOptions('save', options, ['dtype', 'signal']);
    this.#check();
    const saved = this.#client.call((engine) => engine.saveSession(this.#handle, dtype));
    return unlessEnded(saved, { signal, lives: [] });
  }

  /**
   * What `save` gives, in pieces of 64 KiB at most.
   * @throws as `save`
   */
  async saveStream(options?: SaveOptions): Promise<ReadableStream<Uint8Array>> {
    return snapshotStream(await this.save(options));
  }

  /**
   * What `save` gives, into a file by its path or file: URL, a WritableStream, or a file of OPFS: files are replaced as
   * a whole.
   * @throws NOT_FOUND, WRITE_FAILED, and as `save`
   */
  async saveTo(target: SnapshotTarget, options?: SaveOptions): Promise<void> {
    const write = snapshotWriter(target);
    await write(await this.save(options), options?.signal ?? undefined);
  }

  /**
   * Forgets everything: the state of a fresh session.
   * @throws BUSY, CLOSED
   */
  async reset(): Promise<void> {
    this.#check();
    await this.#client.call((engine) => engine.resetSession(this.#handle));
    this.#position = 0;
  }

  /**
   * Ends what the session does, with CLOSED, and frees its slot. Resolves once that is so, also after the model was
   * disposed or its worker died. Calling it again is harmless.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** `close`, at the end of the scope of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    dropped.unregister(this);
    this.#life.end(closed());
    try {
      await this.#client.call((engine) => engine.closeSession(this.#handle));
    } catch (error) {
      const gone = error instanceof EdgeError && (error.code === 'CLOSED' || error.code === 'WORKER_DIED');
      if (!gone) throw error;
    }
  }

  async #append(
    prompt: Prompt,
    signal: AbortSignal | undefined,
    options: PromptOptions & { continues?: boolean },
  ): Promise<number> {
    try {
      this.#position = await this.#client.abortable(signal, (engine, call) =>
        engine.append(this.#handle, prompt, call, options),
      );
    } catch (error) {
      await this.#refresh();
      throw error;
    }
    return this.#position;
  }

  #check(): void {
    if (this.#closing) throw closed();
    if (this.#streaming)
      throw new EdgeError('BUSY', 'The session is busy with append of a stream: await it, or abort it');
  }

  async #refresh(): Promise<void> {
    const read = this.#client.call((engine) => engine.position(this.#handle));
    this.#position = await read.catch(() => this.#position); // a dead engine has told why already
  }
}
