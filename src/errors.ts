/**
 * What went wrong, for programs. The message says it for people: expected, found, what to do.
 *
 * - `UNSUPPORTED_MODEL`: an architecture or a config option that no program is written for
 * - `INVALID_FILE`: a file that is damaged, truncated, or contradicts itself or its config
 * - `NOT_FOUND`: a file, directory or URL that does not exist
 * - `WRITE_FAILED`: a file that cannot be written: no permission, no space, a directory
 * - `NETWORK`: a transfer that failed
 * - `OUT_OF_MEMORY`: does not fit the memory there is, or the budget given
 * - `UNSUPPORTED_BACKEND`: the backend asked for cannot run here
 * - `DEVICE_LOST`: the GPU went away
 * - `STATE_MISMATCH`: a snapshot of another model, numerics or version
 * - `POSITION_UNAVAILABLE`: a position that the history no longer holds
 * - `CONTEXT_FULL`: unbounded attention reached maxContext
 * - `NO_TOKENIZER`: text was given to a model that takes ids only
 * - `NO_CHAT_TEMPLATE`: messages were given to a model without a template for them, or without the one named
 * - `BUSY`: a session that does something else already, or more calls than may wait for a slot
 * - `CLOSED`: a model or session used after dispose or close
 * - `ABORTED`: the caller's AbortSignal
 * - `INVALID_ARGUMENT`: an option or argument that makes no sense
 * - `WORKER_DIED`: the engine's worker ended unexpectedly
 * - `INTERNAL`: a defect of this library
 */
export type EdgeErrorCode =
  | 'UNSUPPORTED_MODEL'
  | 'INVALID_FILE'
  | 'NOT_FOUND'
  | 'WRITE_FAILED'
  | 'NETWORK'
  | 'OUT_OF_MEMORY'
  | 'UNSUPPORTED_BACKEND'
  | 'DEVICE_LOST'
  | 'STATE_MISMATCH'
  | 'POSITION_UNAVAILABLE'
  | 'CONTEXT_FULL'
  | 'NO_TOKENIZER'
  | 'NO_CHAT_TEMPLATE'
  | 'BUSY'
  | 'CLOSED'
  | 'ABORTED'
  | 'INVALID_ARGUMENT'
  | 'WORKER_DIED'
  | 'INTERNAL';

/** The one error class that edge-ssm throws. */
export class EdgeError extends Error {
  /** Always `'EdgeError'`. */
  override readonly name = 'EdgeError';
  /** Of `session.append(stream)`: what the stream gave and the session did not consume, in order. */
  declare unconsumed?: readonly (string | Int32Array)[];

  /** Made by edge-ssm; a `cause` is what led to it. */
  constructor(
    /** What went wrong, for programs. */
    readonly code: EdgeErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Throws INVALID_ARGUMENT unless `condition` holds.
 * @internal
 */
export function requireArgument(condition: unknown, message: string): asserts condition {
  if (!condition) throw new EdgeError('INVALID_ARGUMENT', message);
}

/**
 * Throws ABORTED, with the signal's reason as cause, if `signal` is aborted.
 * @internal
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new EdgeError('ABORTED', 'The operation was aborted', { cause: signal.reason });
}

/**
 * The words of whatever was thrown.
 * @internal
 */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * A value as a message shows it.
 * @internal
 */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'number' || value === null || value === undefined)
    return Object.is(value, -0) ? '-0' : String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`;
}
