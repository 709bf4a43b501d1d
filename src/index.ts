/** The public API; importing it does nothing. */

export type { Generation } from './api/generation.ts';
export { load } from './api/load.ts';
export type { Model, ModelTokenizer } from './api/model.ts';
export type { Session } from './api/session.ts';
export type * from './api/types/index.ts';
export { EdgeError, type EdgeErrorCode } from './errors.ts';
