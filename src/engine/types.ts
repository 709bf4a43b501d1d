import type { MemoryPlan } from '../backends/types.ts';
import type { DecodeOptions, SnapshotDtype } from '../state/snapshot.ts';
import type { Chat, EncodeOptions } from '../tokenizer/index.ts';
import type { BackendName, Numerics, Quantize, WeightFormat } from '../types.ts';
import type { CacheStats } from './prefix_cache.ts';

/**
 * Text, token ids, or a conversation for the model's chat template. An empty one continues a session; a conversation is
 * the whole of it: a session keeps what it has consumed of it already, and goes back to where they part.
 */
export type Prompt = string | readonly number[] | Int32Array | Chat;

/** Where a model comes from. Strings: 'tiny', a directory or file path, or a URL. Blobs: the files of one model. */
export type ModelSource = string | URL | Blob | readonly File[];

/** How much of conversations is kept in host memory, beside the slots. */
export interface StateSettings {
  maxHistory: number; // 65,536: ids that a session remembers for rewinding
  checkpointEvery: number; // 512: tokens between two of a session's checkpoints
  checkpointBytes: number; // 64 MiB: of the checkpoints of all sessions; 0 makes none
  cacheBytes: number; // 0: of the prefix cache, which is off without
  spill: number; // 0: idle sessions that may wait in host memory for a slot
  maxQueue: number; // 256: calls that may wait for a slot; what comes beyond is refused with BUSY
}

/** Where to rewind to: a number of consumed tokens, or where a turn began (−1: the last `append` or `generate`). */
export type RewindTarget = { position: number } | { turn: number };

/** What the state manager holds now. */
export interface StateStats {
  sessions: number;
  spilled: number; // of them, in host memory
  waiting: number; // calls that wait for a slot
  checkpoints: { count: number; bytes: number; maxBytes: number };
  prefixCache: CacheStats | null; // null: off
}

/** Options of `load` that the engine itself reads; all survive structured cloning. */
export interface EngineOptions extends Partial<StateSettings> {
  backend?: BackendName | 'auto'; // 'auto'
  numerics?: Numerics; // of activations: 'i8' on CPUs, 'i16' on GPUs that can, unless asked for more (docs/adr/0006, 0008)
  threads?: number; // per device
  quantize?: Quantize; // float checkpoints: 'q8' below 200 M parameters, 'q4' above
  maxSessions?: number; // 4
  maxContext?: number; // 4096; only matters where attention is unbounded
  memoryBudget?: number; // bytes of weights + state + scratch
  chunk?: number; // rows of prefill fed at a time: 64 on WASM, 512 on WebGPU
}

export interface Progress {
  stage: 'open' | 'weights' | 'ready';
  loaded: number; // bytes
  total: number; // bytes
  remainingMs: number | null; // at the pace so far; null while that is not known
}

/** The memory contract and what was chosen, as `model.info`. */
export interface ModelInfo extends MemoryPlan, StateSettings {
  name: string;
  architecture: string;
  backend: BackendName;
  variant: string;
  device: string;
  why: string; // why this backend, and why not the others
  threads: number;
  numerics: Numerics;
  weights: WeightFormat; // of the linear weights, the most frequent one
  parameters: number;
  vocabSize: number;
  dModel: number;
  nLayer: number;
  maxSessions: number;
  maxContext: number; // Infinity for pure recurrent and windowed models
  chunk: number;
  slotBytes: number; // state of one session
  hostBytes: number; // the most that histories, checkpoints, cached prefixes and spilled sessions take
  fingerprint: string; // of config and weights, hexadecimal
  bosTokenId: number | null;
  eosTokenIds: readonly number[];
  generationDefaults: GenerationDefaults; // of options that `generate` is not given; {}: none of the model's own
  hasTokenizer: boolean;
  hasChatTemplate: boolean;
}

/** Options of `generate` that a model's generation_config.json can have. */
export type GenerationDefaults = Pick<
  GenerateOptions,
  'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty'
>;

/** How a prompt of text becomes ids. */
export interface PromptOptions {
  /**
   * True, the default: a text that a sequence begins with gets what the tokenizer puts before one (bos, where it has it
   * so), unless it is written out there. Never what comes after a text (eos), nor anything in later turns or messages.
   */
  addSpecialTokens?: boolean | undefined;
  /**
   * True, the default for text: special tokens that are written out in it become their ids. False, the default for
   * messages, of what is said in them: they are text.
   */
  parseSpecial?: boolean | undefined;
}

/** Of what is not given, the model's `generationDefaults` apply; without them, greedy and no penalty. */
export interface GenerateOptions extends PromptOptions {
  maxTokens?: number; // 256
  temperature?: number; // 0: greedy; else 0.0001 to 10,000
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number>;
  seed?: number; // integer in [0, 2^53); random if absent and temperature > 0
  stop?: string | readonly string[];
  stopTokens?: readonly number[];
  ignoreEos?: boolean;
  logprobs?: boolean | number; // true: of the token; n: and of the n most probable ones, n ≤ 20
}

export interface Token {
  id: number;
  text: string; // whole characters only; may be empty while a character is incomplete
  logprob?: number;
  top?: { id: number; text: string; logprob: number }[];
}

export type FinishReason = 'eos' | 'stop' | 'length' | 'aborted';

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  prefillMs: number;
  decodeMs: number;
}

export interface GenerateResult {
  text: string;
  tokens: Token[];
  finishReason: FinishReason;
  stop: string | number | null; // the stop string or stop token that matched
  seed: number;
  usage: Usage;
}

/**
 * A burst of tokens from the engine, and how the generation ended if it did. `text` is what is left to emit then.
 * Tokens of eos and stop tokens are not among them; what a stop string hides is, without its text. On a session, the
 * end comes in a burst of its own, without tokens: until it is asked for, the session can go back to any of them.
 */
export interface Burst {
  tokens: Token[];
  end: (Omit<GenerateResult, 'text' | 'tokens'> & { text: string }) | null;
}

export interface Score {
  ids: Int32Array; // [n]
  logprobs: Float32Array; // [n], natural log; NaN for a first token that nothing precedes
  total: number; // sum over the scored tokens
  perplexity: number; // exp(−total / number of scored tokens)
}

export interface SelfTestReport {
  ok: boolean;
  checks: { name: string; ok: boolean; detail: string }[];
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
