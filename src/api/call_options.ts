import { requireArgument, show } from '../errors.ts';
import type { Abortable } from './types/index.ts';

/** Names of options of a call that takes a prompt: see PromptOptions. */
export const PROMPT_OPTIONS = ['addSpecialTokens', 'parseSpecial', 'signal'] as const;

/**
 * The options of a call, once they are known to be an object with no other names than these, and a signal that is one.
 * Without `names` the names are checked elsewhere. A signal of null is none, as for fetch.
 * @throws INVALID_ARGUMENT
 */
export function readCallOptions<T extends object>(
  call: string,
  options: T | undefined,
  names?: readonly (keyof T & string)[],
): T {
  if (options === undefined) return {} as T;
  requireArgument(
    typeof options === 'object' && options !== null && !Array.isArray(options),
    `The options of ${call} must be an object, found ${show(options)}`,
  );
  for (const name of names ? Object.keys(options) : [])
    requireArgument(
      (names as readonly string[]).includes(name),
      `Unknown option '${name}' of ${call}; there are ${names!.join(', ')}`,
    );
  const { signal } = options as Abortable;
  if (signal === null) return { ...options, signal: undefined };
  requireSignal(call, signal);
  return options;
}

function requireSignal(call: string, signal: unknown): void {
  if (signal === undefined) return;
  const { aborted, addEventListener } = Object(signal) as Partial<AbortSignal>;
  requireArgument(
    typeof aborted === 'boolean' && typeof addEventListener === 'function',
    `The signal of ${call} must be an AbortSignal (of an AbortController, as controller.signal), found ${show(signal)}`,
  );
}

/** An Int32Array would make another id of anything else. */
export function isInt32(id: unknown): boolean {
  return typeof id === 'number' && (id | 0) === id;
}

/** Ids as they are handed to the engine, which knows the vocabulary. @throws INVALID_ARGUMENT */
export function readIds(ids: unknown): Int32Array {
  requireArgument(
    Array.isArray(ids) || ids instanceof Int32Array,
    `Token ids are a list of integers or an Int32Array, found ${show(ids)}`,
  );
  for (const id of ids)
    requireArgument(isInt32(id), `Token ids are integers below 2^31, found ${show(id)} among them`);
  return Int32Array.from(ids);
}
