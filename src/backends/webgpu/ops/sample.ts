import { MAX_BIAS, MAX_RECENT, MAX_TOP } from '../../../ops/sample.ts';
import type { Launch, Plan } from '../plan.ts';

const THREADS = 256;
const MOST_PARTS = 64; // of a row of logits; at most THREADS

/** `log_sum` cuts each row of logits so that many workgroups read it; `sample` takes it from there. */
export function sample(plan: Plan): Launch[] {
  const parts = Math.min(MOST_PARTS, Math.ceil(plan.program.vocabSize / THREADS));
  const constants = {
    OUTPUTS: plan.maxOutputs,
    VOCAB: plan.program.vocabSize,
    LOGITS_STRIDE: plan.logitsStride,
    PARTS: parts,
    THREADS,
    MAX_BIAS,
    MAX_RECENT,
    MAX_TOP,
  };
  const logits = { buffer: 'logits' };
  plan.buffer('parts', 16 * parts * plan.maxOutputs, 'scratch');
  return [
    {
      entry: 'log_sum',
      settings: { constants: { ...constants, SPAN: Math.ceil(plan.program.vocabSize / parts) } },
      slices: { logits, parts: { buffer: 'parts' } },
      workgroups: ({ logitRows }) => (logitRows > 0 ? [parts, logitRows, 1] : null),
    },
    {
      entry: 'sample',
      settings: { constants },
      slices: {
        outputs: { buffer: 'outputs' },
        logits,
        biases: { buffer: 'biases' },
        adjusted: { buffer: 'adjusted' },
        parts: { buffer: 'parts' },
        results: { buffer: 'results' },
      },
      workgroups: ({ outputs }) => (outputs > 0 ? [outputs, 1, 1] : null),
    },
  ];
}

/** Makes the sampled tokens the rows of the next step. */
export function advance(plan: Plan): Launch {
  return {
    entry: 'advance',
    settings: { constants: { ...plan.batch, MAX_RECENT, MAX_TOP } },
    slices: {
      batch: { buffer: 'batch' },
      outputs: { buffer: 'outputs' },
      results: { buffer: 'results' },
      history: { buffer: 'history' },
    },
    workgroups: () => [1, 1, 1],
  };
}
