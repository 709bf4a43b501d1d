import type { SampleCall, Sampled, SampleParams } from '../../../ops/sample.ts';
import type { StepContext } from '../context.ts';
import { logSumExp } from './logits.ts';

interface Candidate {
  id: number;
  logit: number;
}

export function sample(_call: SampleCall, ctx: StepContext): void {
  ctx.outputs.forEach((output, i) => {
    if (output.sample) ctx.results[i]!.sampled = sampleRow(ctx.logits.get(output.row)!, output.sample);
  });
}

/** The steps of src/ops/sample.ts, on f32 logits: adjusted in f32 as backends do, weighed in float64. */
export function sampleRow(logits: Float32Array, params: SampleParams): Sampled {
  const logZ = logSumExp(logits);
  const adjusted = penalize(logits, params); // [vocab]
  const id = params.temperature === 0 ? argmax(adjusted) : draw(adjusted, params);
  const top = descending(logits)
    .slice(0, params.top)
    .map((token) => ({ id: token.id, logprob: token.logit - logZ }));
  return { id, logprob: logits[id]! - logZ, top };
}

/** Steps 1 and 2. Float32Array elements round to f32 at every assignment. */
function penalize(logits: Float32Array, params: SampleParams): Float32Array {
  const l = logits.slice(); // [vocab]
  params.bias?.ids.forEach((id, i) => {
    l[id] = l[id]! + params.bias!.values[i]!;
  });
  const counts = new Map<number, number>();
  for (const id of params.recent) counts.set(id, (counts.get(id) ?? 0) + 1);
  const repetition = Math.fround(params.repetitionPenalty);
  const frequency = Math.fround(params.frequencyPenalty);
  const presence = Math.fround(params.presencePenalty);
  for (const [id, n] of counts) {
    l[id] = l[id]! > 0 ? l[id]! / repetition : l[id]! * repetition;
    l[id] = l[id]! - Math.fround(Math.fround(frequency * n) + presence);
  }
  return l;
}

/** Steps 4 to 6. */
function draw(l: Float32Array, params: SampleParams): number {
  const temperature = Math.fround(params.temperature);
  let kept = descending(l.map((value) => value / temperature));
  if (params.topK > 0) kept = kept.slice(0, params.topK);
  const max = kept[0]!.logit;
  const weight = (token: Candidate) => Math.exp(token.logit - max);
  const sum = (tokens: Candidate[]) => tokens.reduce((total, token) => total + weight(token), 0);
  if (params.topP < 1) {
    const enough = params.topP * sum(kept);
    let reached = 0;
    const count = kept.findIndex((token) => {
      reached += weight(token);
      return reached >= enough;
    });
    if (count >= 0) kept = kept.slice(0, count + 1);
  }
  kept = kept.filter((token) => weight(token) >= params.minP).sort((a, b) => a.id - b.id);
  const threshold = uniform(params) * sum(kept);
  let cumulative = 0;
  for (const token of kept) {
    cumulative += weight(token);
    if (cumulative > threshold) return token.id;
  }
  return kept.at(-1)!.id;
}

/** `u` of step 6, in [0, 1). */
export function uniform(params: Pick<SampleParams, 'seedLo' | 'seedHi' | 'position'>): number {
  const bits = lowbias32(params.seedLo ^ lowbias32(params.seedHi ^ lowbias32(params.position)));
  return (bits >>> 8) / 2 ** 24;
}

/** A 32-bit integer hash (Chris Wellons, hash-prospector). */
function lowbias32(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** All tokens, the most probable first, lower ids first among equals. */
function descending(l: Float32Array): Candidate[] {
  return Array.from(l, (logit, id) => ({ id, logit })).sort((a, b) => b.logit - a.logit || a.id - b.id);
}

function argmax(l: Float32Array): number {
  let best = 0;
  for (let id = 1; id < l.length; id++) if (l[id]! > l[best]!) best = id;
  return best;
}
