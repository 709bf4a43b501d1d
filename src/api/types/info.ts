import type { BackendName, Numerics, WeightFormat } from './device.ts';
import type { GenerationDefaults } from './generate.ts';
import type { StateSettings } from './load.ts';

/** Bytes that a model takes on its device, known before anything is allocated. */
export interface MemoryPlan {
  /** Bytes of the weights, as they are stored on the device. */
  weightBytes: number;
  /** Bytes of the states of all slots. */
  stateBytes: number;
  /** Bytes of activations, logits, the encoded program and thread stacks. */
  scratchBytes: number;
  /** The sum of the other three. */
  totalBytes: number;
}

/** The memory contract and what was chosen, as `model.info`; frozen. */
export interface ModelInfo extends MemoryPlan, StateSettings {
  /** Name of the folder, file or hub's model. */
  name: string;
  /** Name of the architecture, such as `'mamba2'`. */
  architecture: string;
  /** What runs the model. */
  backend: BackendName;
  /** Which of the backend's programs, such as `'relaxed-simd, threads'`. */
  variant: string;
  /** The GPU, or the runtime. */
  device: string;
  /** Why this backend, and why not the others. */
  why: string;
  /** Threads that compute; 1 on GPUs. */
  threads: number;
  /** Activations of quantized linears. */
  numerics: Numerics;
  /** Format of the linear weights: the one that most of their values have. */
  weights: WeightFormat;
  /** Number of weights. */
  parameters: number;
  /** Number of token ids. */
  vocabSize: number;
  /** Width of the residual stream. */
  dModel: number;
  /** Number of layers. */
  nLayer: number;
  /** Slots for sessions and generations. */
  maxSessions: number;
  /** Slots beside those: for states set aside, and on GPUs for checkpoints that wait to be read back. */
  shadowSlots: number;
  /** The most tokens of a sequence; Infinity for models that are recurrent, or whose attention has a window. */
  maxContext: number;
  /** Rows of prefill that run at once. */
  chunk: number;
  /** Bytes of the state of one session. */
  slotBytes: number;
  /** The most bytes of host memory that histories, checkpoints, cached prefixes and spilled sessions take. */
  hostBytes: number;
  /** Hexadecimal digest of config and weights: what a snapshot must agree with. */
  fingerprint: string;
  /** Id of the token that begins a text; null if the model has none. */
  bosTokenId: number | null;
  /** Ids of the tokens that end a text. */
  eosTokenIds: readonly number[];
  /** What the model's generation_config.json has for options that `generate` is not given; `{}` without one. */
  generationDefaults: GenerationDefaults;
  /** Whether the model takes and gives text; without a tokenizer it takes ids. */
  hasTokenizer: boolean;
  /** Whether the model takes `{ messages }`. */
  hasChatTemplate: boolean;
}

/** What the prefix cache did, counted since the model was loaded. */
export interface CacheStats {
  /** Prompts that began with a stored prefix. */
  hits: number;
  /** Prompts that did not. */
  misses: number;
  /** Tokens that needed no prefill. */
  reusedTokens: number;
  /** Prefixes that were dropped to make room. */
  evictions: number;
  /** Prefixes that are stored now. */
  entries: number;
  /** Bytes that they take. */
  bytes: number;
  /** The most bytes that they may take: `cacheBytes`. */
  maxBytes: number;
}

/** What the state manager holds now. */
export interface StateStats {
  /** Open sessions. */
  sessions: number;
  /** Those of them that wait in host memory. */
  spilled: number;
  /** Calls that wait for a slot. */
  waiting: number;
  /** Checkpoints of all sessions. */
  checkpoints: {
    /** How many there are. */
    count: number;
    /** Bytes that they take. */
    bytes: number;
    /** The most bytes that they may take: `checkpointBytes`. */
    maxBytes: number;
  };
  /** What the prefix cache did; null if it is off. */
  prefixCache: CacheStats | null;
}

/** What `selfTest` found. */
export interface SelfTestReport {
  /** Whether every check passed. */
  ok: boolean;
  /** Each check, in the order in which they ran. */
  checks: {
    /** What was checked. */
    name: string;
    /** Whether it passed. */
    ok: boolean;
    /** What it saw. */
    detail: string;
  }[];
}
