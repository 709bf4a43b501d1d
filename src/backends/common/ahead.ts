import { MAX_RECENT, penalizes } from '../../ops/sample.ts';
import type { OutputResult, Step } from '../types.ts';

/** The step from the tokens that `step` sampled, one a row; null if an output ends with one of them. */
export function following({ segments, outputs }: Step, results: readonly OutputResult[]): Step | null {
  const ids = results.map(({ sampled }) => sampled!.id);
  if (outputs.some(({ ends }, i) => ends?.includes(ids[i]!))) return null;
  return {
    ids: Int32Array.from(ids),
    segments: segments.map((segment) => ({ ...segment, position: segment.position + 1 })),
    outputs: outputs.map((output, i) => {
      const sample = output.sample!;
      const recent = penalizes(sample) ? withId(sample.recent, ids[i]!) : sample.recent;
      return { ...output, sample: { ...sample, position: sample.position + 1, recent } };
    }),
  };
}

function withId(recent: Int32Array, id: number): Int32Array {
  const ids = new Int32Array(Math.min(recent.length + 1, MAX_RECENT));
  ids.set(recent.subarray(Math.max(0, recent.length + 1 - MAX_RECENT)));
  ids[ids.length - 1] = id;
  return ids;
}
