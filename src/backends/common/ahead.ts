import { penalizes, recentAfter } from '../../ops/sample.ts';
import type { OutputResult, Step } from '../types.ts';

/** The step from the tokens that `step` sampled, one a row; null if an output ends with one of them. */
export function following({ segments, outputs }: Step, results: readonly OutputResult[]): Step | null {
  const ids = Int32Array.from(results, ({ sampled }) => sampled!.id);
  if (outputs.some(({ ends }, i) => ends?.includes(ids[i]!))) return null;
  return {
    ids,
    segments: segments.map((segment) => ({ ...segment, position: segment.position + 1 })),
    outputs: outputs.map((output, i) => {
      const sample = output.sample!;
      const recent = penalizes(sample) ? recentAfter(sample.recent, ids.subarray(i, i + 1)) : sample.recent;
      return { ...output, sample: { ...sample, position: sample.position + 1, recent } };
    }),
  };
}
