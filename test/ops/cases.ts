import type { OpName } from '../../src/ops/index.ts';
import type { OpCase } from './build.ts';
import { activationCases, gateNormCases } from './elementwise_cases.ts';
import { embedCases, linearResidualCases, logitsCases, normLinearCases } from './linear_cases.ts';
import { sampleCases } from './sample_cases.ts';
import { conv1dCases, rotaryCases, ssdScanCases, windowAttentionCases } from './state_cases.ts';

/** Parity cases of every op: an op without cases does not compile. */
export const cases: Record<OpName, readonly OpCase[]> = {
  embed: embedCases,
  norm_linear: normLinearCases,
  conv1d: conv1dCases,
  ssd_scan: ssdScanCases,
  gate_norm: gateNormCases,
  linear_residual: linearResidualCases,
  activation: activationCases,
  rotary: rotaryCases,
  window_attention: windowAttentionCases,
  logits: logitsCases,
  sample: sampleCases,
};
