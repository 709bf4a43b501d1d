import type { EngineOptions, ModelInfo } from '../api/types/index.ts';
import type { BackendId } from '../types.ts';

export type * from '../api/types/index.ts';
export type { Burst, EngineService, Handle } from './service.ts';

/** EngineOptions that may name a backend of tests, too. */
export interface LoadEngineOptions extends Omit<EngineOptions, 'backend'> {
  backend?: BackendId | 'auto';
}

/** ModelInfo that may name a backend of tests. */
export interface EngineInfo extends Omit<ModelInfo, 'backend'> {
  backend: BackendId;
}
