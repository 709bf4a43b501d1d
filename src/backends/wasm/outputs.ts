import { MAX_BIAS, MAX_RECENT, MAX_TOP, type Sampled, type SampleParams } from '../../ops/sample.ts';
import { checkedId, notNumbers, SAMPLE_WORDS, writeSampleParams } from '../common/sampling.ts';
import type { Output, OutputResult } from '../types.ts';

const WHERE = 'WASM outputs';

// The C struct `output` of wasm/ops/sample.h, in words.
const WANTS = 1;
const TARGET = 2;
const PARAMS = 3;
const N_TOP = PARAMS + SAMPLE_WORDS - 1;
const TARGET_LOGPROB = PARAMS + SAMPLE_WORDS;
const ID = 17;
const LOGPROB = 18;
const TOP_IDS = 20;
const TOP_LOGPROBS = TOP_IDS + MAX_TOP;
const RECENT = TOP_LOGPROBS + MAX_TOP;
const BIAS_IDS = RECENT + MAX_RECENT;
const BIAS_VALUES = BIAS_IDS + MAX_BIAS;
const OUTPUT_WORDS = BIAS_VALUES + MAX_BIAS;
export const OUTPUT_BYTES = 4 * OUTPUT_WORDS;

const WANT_TARGET = 1;
const WANT_SAMPLE = 2;

/** The outputs of a step, as the module reads and fills them. */
export class Outputs {
  private readonly i32: Int32Array; // [maxOutputs · OUTPUT_WORDS]
  private readonly f32: Float32Array; // the same words
  private readonly logits: Float32Array; // [maxOutputs, logitsStride]

  constructor(
    buffer: ArrayBufferLike,
    at: { outputs: number; maxOutputs: number; logits: number; logitsStride: number },
    private readonly vocab: number,
  ) {
    this.i32 = new Int32Array(buffer, at.outputs, at.maxOutputs * OUTPUT_WORDS);
    this.f32 = new Float32Array(buffer, at.outputs, at.maxOutputs * OUTPUT_WORDS);
    this.logits = new Float32Array(buffer, at.logits, at.maxOutputs * at.logitsStride);
    this.stride = at.logitsStride;
  }
  private readonly stride: number;

  /** Writes the request of output `index` of the step, for row `logitsRow` of the logits. */
  write(index: number, logitsRow: number, output: Output): void {
    const base = index * OUTPUT_WORDS;
    const { target, sample } = output;
    this.i32[base] = logitsRow;
    this.i32[base + WANTS] = (target === undefined ? 0 : WANT_TARGET) | (sample ? WANT_SAMPLE : 0);
    if (target !== undefined) this.i32[base + TARGET] = this.checkedId(target, 'target');
    if (sample) this.writeParams(base, sample);
  }

  private writeParams(base: number, params: SampleParams): void {
    const { recent, bias } = params;
    const { i32, f32 } = this;
    writeSampleParams(WHERE, i32, f32, base + PARAMS, params, this.vocab);
    for (let i = 0; i < recent.length; i++) i32[base + RECENT + i] = this.checkedId(recent[i]!, 'recent id');
    if (!bias) return;
    for (let i = 0; i < bias.ids.length; i++)
      i32[base + BIAS_IDS + i] = this.checkedId(bias.ids[i]!, 'biased id');
    f32.set(bias.values, base + BIAS_VALUES);
  }

  /** Reads the module's results. Throws INVALID_FILE for probabilities that are not numbers. */
  read(index: number, output: Output): OutputResult {
    const base = index * OUTPUT_WORDS;
    const result: OutputResult = {};
    if (output.logits) {
      const begin = this.i32[base]! * this.stride;
      result.logits = this.logits.slice(begin, begin + this.vocab);
    }
    if (output.target !== undefined) result.target = checkedLogprob(this.f32[base + TARGET_LOGPROB]!);
    if (output.sample) result.sampled = this.readSampled(base);
    return result;
  }

  private readSampled(base: number): Sampled {
    const top: Sampled['top'] = [];
    for (let i = 0; i < this.i32[base + N_TOP]!; i++)
      top.push({ id: this.i32[base + TOP_IDS + i]!, logprob: this.f32[base + TOP_LOGPROBS + i]! });
    return { id: this.i32[base + ID]!, logprob: checkedLogprob(this.f32[base + LOGPROB]!), top };
  }

  private checkedId(id: number, what: string): number {
    return checkedId(WHERE, id, what, this.vocab);
  }
}

function checkedLogprob(logprob: number): number {
  if (!Number.isNaN(logprob)) return logprob;
  throw notNumbers();
}
