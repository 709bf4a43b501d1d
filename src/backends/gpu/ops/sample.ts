import { MAX_BIAS, MAX_RECENT, MAX_TOP, type SampleCall } from '../../../ops/sample.ts';
import { MAX_ENDS } from '../../types.ts';
import type { Launch } from '../launch.ts';
import type { Planner } from '../planner.ts';

const MOST_THREADS = 1024;

export function sample(_call: SampleCall, planner: Planner): Launch[] {
  return [
    {
      kernel: 'sample',
      settings: {
        constants: {
          ...planner.batch,
          VOCAB: planner.program.vocabSize,
          LOGITS_STRIDE: planner.logitsStride,
          THREADS: 2 ** Math.floor(Math.log2(Math.min(MOST_THREADS, planner.features.maxThreads))),
          FOUR: 4,
          MAX_BIAS,
          MAX_RECENT,
          MAX_TOP,
          MAX_ENDS,
        },
      },
      slices: {
        batch: { buffer: 'batch' },
        outputs: { buffer: 'outputs' },
        logits: { buffer: 'logits' },
        biases: { buffer: 'biases' },
        adjusted: { buffer: 'adjusted' },
        results: { buffer: 'results' },
      },
      workgroups: ({ outputs }) => (outputs > 0 ? [outputs, 1, 1] : null),
    },
  ];
}
