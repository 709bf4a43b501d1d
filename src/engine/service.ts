import type {
  Chat,
  DecodeOptions,
  EncodeOptions,
  GenerateOptions,
  GenerateResult,
  Prompt,
  PromptOptions,
  RewindTarget,
  Score,
  SelfTestReport,
  SnapshotDtype,
  StateStats,
  Token,
} from '../api/types/index.ts';

/**
 * A burst of tokens from the engine, and how the generation ended if it did. `text` is what is left to emit then.
 * Tokens of eos and stop tokens are not among them; what a stop string hides is, without its text. On a session, the
 * end comes in a burst of its own, without tokens: until it is asked for, the session can go back to any of them.
 */
export interface Burst {
  tokens: Token[];
  end: (Omit<GenerateResult, 'text' | 'tokens'> & { text: string }) | null;
}

/** Any number that names a session, a generation or a cancellable call; chosen by the caller, unique in one engine. */
export type Handle = number;

/**
 * The engine behind the worker boundary: what the proxied interface offers. One engine holds one model.
 * `call` handles can be given to `abort`. Every failure is an EdgeError.
 */
export interface EngineService {
  /** Ids of a text. Long ones are encoded in pieces, between which others run. */
  encode(text: string, options?: EncodeOptions, call?: Handle): Promise<Int32Array>;
  decode(ids: Int32Array): string | Promise<string>;
  /** A conversation as text. */
  render(chat: Chat): string | Promise<string>;
  openSession(session: Handle): Promise<void>;
  closeSession(session: Handle): Promise<void>;
  resetSession(session: Handle): Promise<void>;
  /**
   * Consumes a prompt (its last token stays pending); resolves to the new position. If it fails or is aborted, the
   * session is as it was before, or where it parts from a prompt that is the whole conversation. It is a turn, to which `rewind` can go, unless it `continues` one.
   */
  append(
    session: Handle,
    prompt: Prompt,
    call: Handle,
    options?: PromptOptions & { continues?: boolean },
  ): Promise<number>;
  /** Tokens consumed so far. */
  position(session: Handle): number | Promise<number>;
  /** Goes back; resolves to the new position. If it fails or is aborted, the session is as it was before. */
  rewind(session: Handle, target: RewindTarget, call: Handle): Promise<number>;
  /** Opens a session `fork` that goes on from where `session` is. */
  forkSession(session: Handle, fork: Handle): Promise<void>;
  /** The session as bytes: see src/state/snapshot.ts. */
  saveSession(session: Handle, dtype: SnapshotDtype): Promise<Uint8Array>;
  /** Opens a session that goes on from saved bytes; resolves to its position. */
  restoreSession(session: Handle, bytes: Uint8Array, options: DecodeOptions): Promise<number>;
  stats(): StateStats | Promise<StateStats>;
  /** Begins a generation; without a session, on a slot of its own that is freed at the end. Runs nothing yet. */
  startGeneration(
    generation: Handle,
    session: Handle | null,
    prompt: Prompt,
    options: GenerateOptions,
  ): Promise<void>;
  /**
   * Prefills and gives the first token, or decodes until a burst is worth sending (about 40 ms, at least one token).
   * Asking for a burst says that all tokens of the last one were taken. Aborted within the prompt, or failed, the
   * session is as it was before.
   */
  nextBurst(generation: Handle): Promise<Burst>;
  /**
   * Ends a generation early. `delivered` counts the tokens that the user took: the session is then exactly
   * where it would be had it stopped after that token (which stays pending), or as before the prompt if it is 0.
   * Harmless after the end.
   */
  stopGeneration(generation: Handle, delivered: number): Promise<void>;
  /** [rows, vocab] of the last `last` positions of a prompt run from a fresh state; of all if it is null. */
  logits(prompt: Prompt, last: number | null, call: Handle, options?: PromptOptions): Promise<Float32Array>;
  score(prompt: Prompt, call: Handle, options?: PromptOptions): Promise<Score>;
  /** Log-probabilities of each continuation's tokens after the same context. */
  scoreContinuations(
    context: Prompt,
    continuations: readonly Prompt[],
    call: Handle,
    options?: PromptOptions,
  ): Promise<Float32Array[]>;
  selfTest(): Promise<SelfTestReport>;
  /** A call rejects with ABORTED, a generation ends with reason 'aborted'; nothing happens if there is none. */
  abort(call: Handle): void | Promise<void>;
  dispose(): Promise<void>;
}

/** The arrays of a result whose buffers are given away when it crosses a boundary. */
export type Given<T> = (result: T) => readonly { buffer: ArrayBufferLike }[];

/** Every call that is handed on to an engine, and whether its result is copied where it crosses a boundary, or given. */
export const ENGINE_CALLS: {
  readonly [K in Exclude<keyof EngineService, 'dispose'>]:
    | 'copied'
    | Given<Awaited<ReturnType<EngineService[K]>>>;
} = {
  encode: (ids) => [ids],
  decode: 'copied',
  render: 'copied',
  openSession: 'copied',
  closeSession: 'copied',
  resetSession: 'copied',
  append: 'copied',
  position: 'copied',
  rewind: 'copied',
  forkSession: 'copied',
  saveSession: (bytes) => [bytes],
  restoreSession: 'copied',
  stats: 'copied',
  startGeneration: 'copied',
  nextBurst: 'copied',
  stopGeneration: 'copied',
  logits: (logits) => [logits],
  score: ({ ids, logprobs }) => [ids, logprobs],
  scoreContinuations: 'copied',
  selfTest: 'copied',
  abort: 'copied',
};
