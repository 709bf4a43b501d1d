import type { OpContract } from './contract.ts';
import { SAMPLING_ROWS, type Sampling } from './sampling_options.ts';

/** Draws the next token from a row of logits; the last call of a program. Its options are a SampleParams a row. */
export interface SampleCall {
  op: 'sample';
}

/**
 * How one row is sampled, in this order (each backend gives the same token for the same logits bits):
 * 1. `logit += bias` for the ids of `bias`.
 * 2. For each distinct id among `recent`, seen n times: repetition (`l > 0 ? l / r : l · r`),
 *    then `l −= frequency · n + presence`.
 * 3. `temperature` 0: the largest logit, the lowest id among equals. Otherwise `l /= temperature` and:
 * 4. top-k: the `topK` largest logits (ties: lower ids first); 0 keeps all.
 * 5. top-p: of these, in descending order, the fewest whose probabilities (softmax over what 4 kept) reach `topP`;
 *    min-p: of these, the ones at least `minP` times as probable as the most probable.
 * 6. The draw: walking the kept ids upwards, the first whose cumulative weight exceeds `u · total`, with
 *    `u = (mix(seedLo ^ mix(seedHi ^ mix(position))) >>> 8) · 2⁻²⁴`, `mix` being the 32-bit finalizer `lowbias32`
 *    (`x ^= x>>>16; x *= 0x7feb352d; x ^= x>>>15; x *= 0x846ca68b; x ^= x>>>16`).
 *
 * Log-probabilities are those of the model itself: log-softmax of the logits before step 1.
 */
export interface SampleParams extends Sampling {
  seedLo: number; // u32
  seedHi: number; // u32
  position: number; // position of the sampled token in its sequence
  recent: Int32Array; // ids that penalties look at, ≤ MAX_RECENT
  bias: { ids: Int32Array; values: Float32Array } | null; // ≤ MAX_BIAS entries
  top: number; // how many most probable tokens to report, ≤ MAX_TOP
}

/** The most probable token, without penalties. */
export const GREEDY: Omit<SampleParams, 'position'> = {
  ...(Object.fromEntries(SAMPLING_ROWS.map(([name, { off }]) => [name, off])) as Sampling),
  seedLo: 0,
  seedHi: 0,
  recent: new Int32Array(0),
  bias: null,
  top: 0,
};

/** Do ids that came before count? */
export function penalizes(
  params: Pick<SampleParams, 'repetitionPenalty' | 'frequencyPenalty' | 'presencePenalty'>,
): boolean {
  const { repetitionPenalty, frequencyPenalty, presencePenalty } = params;
  return repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;
}

/** Ids that penalties look back at. */
export const MAX_RECENT = 64;

/** The ids that penalties look at once `ids` came after `recent`, oldest first. */
export function recentAfter(recent: Iterable<number>, ids: Int32Array): Int32Array {
  return Int32Array.from([...recent, ...ids.slice(-MAX_RECENT)].slice(-MAX_RECENT));
}

/** Entries of a logit bias. */
export const MAX_BIAS = 1024;
/** Most probable tokens that a step reports. */
export const MAX_TOP = 20;

export interface Sampled {
  id: number;
  logprob: number;
  top: { id: number; logprob: number }[]; // descending; ties: lower ids first
}

export const sample: OpContract<SampleCall> = {
  name: 'sample',
  operands: {},
  check: () => null,
  tolerance: { exact: 2e-5 },
};
