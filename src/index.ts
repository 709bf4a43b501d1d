/** The public API; importing it does nothing. */

export type { PromptStream } from './api/feed.ts';
export type { Generation, GenerationOptions } from './api/generation.ts';
export { type LoadOptions, load } from './api/load.ts';
export type { Model, ModelTokenizer, SessionOptions } from './api/model.ts';
export type { Session } from './api/session.ts';
export type { SnapshotSource, SnapshotTarget } from './api/snapshot.ts';
export type { MemoryPlan } from './backends/types.ts';
export type { CacheStats } from './engine/prefix_cache.ts';
export type {
  EngineOptions,
  FinishReason,
  GenerateOptions,
  GenerateResult,
  ModelInfo,
  ModelSource,
  Progress,
  Prompt,
  PromptOptions,
  RewindTarget,
  Score,
  SelfTestReport,
  StateSettings,
  StateStats,
  Token,
  Usage,
} from './engine/types.ts';
export { EdgeError, type EdgeErrorCode } from './errors.ts';
export type { DecodeOptions, SnapshotDtype } from './state/snapshot.ts';
export type { Chat, ChatMessage, ChatOptions, EncodeOptions } from './tokenizer/index.ts';
export type { BackendName, GroupSize, Numerics, Quantize, WeightFormat } from './types.ts';
