import { MAX_BIAS, MAX_RECENT, MAX_TOP } from '../../../ops/sample.ts';
import { MAX_ENDS } from '../../types.ts';
import type { Launch } from '../launch.ts';
import type { Plan } from '../plan.ts';

const MOST_THREADS = 1024;

export function sample(plan: Plan): Launch {
  return {
    entry: 'sample',
    settings: {
      constants: {
        ...plan.batch,
        VOCAB: plan.program.vocabSize,
        LOGITS_STRIDE: plan.logitsStride,
        THREADS: 2 ** Math.floor(Math.log2(Math.min(MOST_THREADS, plan.features.maxThreads))),
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
  };
}
