import { EdgeError } from '../errors.ts';
import type { BackendId } from '../types.ts';

/** A backend of this build, and why it can't run here, if it can't. */
export interface Candidate {
  name: BackendId;
  unavailable: string | null;
}

export interface Rejection {
  name: BackendId;
  reason: string;
}

export interface Ranking {
  /** To be tried in this order. */
  ranked: readonly BackendId[];
  /** Not to be tried, and why. */
  rejected: readonly Rejection[];
}

/** The fastest first, where they run at all. */
const ORDER: readonly BackendId[] = ['metal', 'webgpu', 'wasm'];

/**
 * Which of `candidates` to try, the best first: all that can run for 'auto', else the one that is asked for.
 * @throws UNSUPPORTED_BACKEND if there is none, with every reason
 */
export function rankBackends(wanted: BackendId | 'auto', candidates: readonly Candidate[]): Ranking {
  const names = wanted === 'auto' ? ORDER : [wanted];
  const ranked: BackendId[] = [];
  const rejected: Rejection[] = [];
  for (const name of names) {
    const candidate = candidates.find((other) => other.name === name);
    const reason = candidate ? candidate.unavailable : 'it is not part of this build';
    if (reason === null) ranked.push(name);
    else rejected.push({ name, reason });
  }
  if (ranked.length === 0) throw noBackend(wanted, rejected, candidates);
  return { ranked, rejected };
}

/** The error for a choice of which no backend can run. */
export function noBackend(
  wanted: BackendId | 'auto',
  rejected: readonly Rejection[],
  candidates: readonly Candidate[],
  cause?: unknown,
): EdgeError {
  const usable = candidates.filter(({ name, unavailable }) => unavailable === null && ORDER.includes(name));
  const advice =
    usable.length > 0 && wanted !== 'auto'
      ? `; here there is ${usable.map(({ name }) => name).join(', ')}`
      : '';
  const what = wanted === 'auto' ? 'No backend can run here' : `The backend '${wanted}' can't run here`;
  return new EdgeError(
    'UNSUPPORTED_BACKEND',
    `${what}: ${reasons(rejected)}${advice}`,
    cause === undefined ? {} : { cause },
  );
}

/** "metal: …; webgpu: …" */
export function reasons(rejected: readonly Rejection[]): string {
  return rejected.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
}
