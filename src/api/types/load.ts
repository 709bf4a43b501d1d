import type { Abortable } from './abortable.ts';
import type { BackendName, Numerics, Quantize } from './device.ts';

/**
 * Where a model comes from: `'tiny'`, the model inside the package; a path of a directory or file; a URL;
 * `'hf:organization/name'` on the Hugging Face Hub; a Blob, or the Files of one model.
 */
export type ModelSource = string | URL | Blob | readonly File[];

/** Where files come from that are not here. What is not given, the environment says in Node, Bun and Deno. */
export interface DownloadOptions {
  /** Token of the hub, for private and gated models; sent to the hub's host only. Default: `HF_TOKEN`. */
  token?: string;
  /** Address of a mirror of the hub. Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string;
  /**
   * A folder that keeps what was fetched; `false` keeps nothing. Default `true`: the folder `EDGE_SSM_CACHE`, else the
   * user's folder for caches; in browsers the origin private file system.
   */
  cache?: boolean | string;
  /** `true` fetches nothing: only what the cache holds is found. Default: `HF_HUB_OFFLINE=1`, else `false`. */
  offline?: boolean;
}

/** How much of conversations is kept in host memory, beside the slots on the device. */
export interface StateSettings {
  /** Token ids that a session remembers for rewinding. Default 65,536. */
  maxHistory: number;
  /** Tokens between two checkpoints of a session; more within one long prompt on a GPU. Default 512. */
  checkpointEvery: number;
  /** Bytes of the checkpoints of all sessions together; 0 makes none. Default 67,108,864 (64 MiB). */
  checkpointBytes: number;
  /**
   * Bytes of the prefix cache, the states after prompts of 16 tokens or more, which all sessions share; 0 is off.
   * Default 0.
   */
  cacheBytes: number;
  /** Idle sessions that may wait in host memory when others need their slots. Default 0. */
  spill: number;
  /** Calls that may wait for a slot; those beyond are refused with BUSY. Default 256. */
  maxQueue: number;
}

/** Options of `load` that the engine itself reads; all survive structured cloning. */
export interface EngineOptions extends Partial<StateSettings> {
  /** What runs the model. Default `'auto'`: the fastest that can run here and passes its self-test. */
  backend?: BackendName | 'auto';
  /**
   * Activations of quantized linears. Default `'i8'`; a GPU computes in `'i16'` where it can, else `'exact'`, unless
   * asked for more. `model.info.numerics` says which.
   */
  numerics?: Numerics;
  /** CPU threads, 0 to 1024. Default 0: as many as the device has use for. GPUs don't look at it. */
  threads?: number;
  /** What float weights become. Default: `'q8'` below 200 million parameters, `'q4'` above. */
  quantize?: Quantize;
  /** Sessions and generations that can be on the device at once: its slots. Default 4. */
  maxSessions?: number;
  /** Tokens of one sequence, where attention is unbounded; nothing else looks at it. Default 4096. */
  maxContext?: number;
  /** Bytes of weights, states and scratch together; a model that needs more is refused with OUT_OF_MEMORY. Default: no limit. */
  memoryBudget?: number;
  /** Rows of prefill that run at once, 1 to 65,536. Default: 64 on WASM, 512 on WebGPU. */
  chunk?: number;
}

/** Options of `load`. */
export interface LoadOptions extends EngineOptions, Abortable {
  /** false runs the engine in the calling thread, which it blocks while it computes; so does a place without workers. Default true. */
  worker?: boolean;
  /**
   * Where the worker's script (`edge-ssm/worker`) is served, for pages whose Content-Security-Policy forbids Blob URLs;
   * in Node, Bun and Deno also a path. Default: the script is part of the package's code.
   */
  workerUrl?: string | URL;
  /** How models are fetched from URLs and the hub, and kept. Default: as the environment says. */
  download?: DownloadOptions;
  /** Hears how far the load is, about 30 times a second; what it throws ends the load. */
  onProgress?: (progress: Progress) => void;
}

/** How far a load is. */
export interface Progress {
  /** `'open'`: reading headers; `'weights'`: reading weights; `'ready'`: done. */
  stage: 'open' | 'weights' | 'ready';
  /** Bytes of weights that are on the device. */
  loaded: number;
  /** Bytes of weights in all; 0 while they are not known. */
  total: number;
  /** Milliseconds that are left at the pace so far; null while that is not known. */
  remainingMs: number | null;
}
