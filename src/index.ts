/** The public API; importing it does nothing. */

export type { Generation, GenerationOptions } from '../workers/generation.ts';
export { type LoadOptions, load } from '../workers/load.ts';
export type { Model, ModelTokenizer } from '../workers/model.ts';
export type { Session } from '../workers/session.ts';
export type { SnapshotSource } from '../workers/snapshot_source.ts';
export type { MemoryPlan } from './backends/types.ts';
export type {
  EngineOptions,
  FinishReason,
  GenerateOptions,
  GenerateResult,
  ModelInfo,
  ModelSource,
  Progress,
  Prompt,
  RewindTarget,
  Score,
  SelfTestReport,
  Token,
  Usage,
} from './engine/types.ts';
export { EdgeError, type EdgeErrorCode } from './errors.ts';
export type { SnapshotDtype } from './state/snapshot.ts';
export type { BackendName, GroupSize, Numerics, Quantize, WeightFormat } from './types.ts';
