import type { Sampled, SampleParams } from '../../ops/sample.ts';
import { checkedId, notNumbers, writeSampleParams } from '../common/sampling.ts';
import type { Output, OutputResult } from '../types.ts';
import { structs } from './structs.ts';

const WHERE = 'WASM outputs';

const OUTPUT = structs.output;

const WANT_TARGET = 1;
const WANT_SAMPLE = 2;

/** The outputs of a step, as the module reads and fills them. */
export class Outputs {
  private readonly i32: Int32Array; // [maxOutputs · OUTPUT.WORDS]
  private readonly f32: Float32Array; // the same words
  private readonly logits: Float32Array; // [maxOutputs, logitsStride]

  constructor(
    buffer: ArrayBufferLike,
    at: { outputs: number; maxOutputs: number; logits: number; logitsStride: number },
    private readonly vocab: number,
  ) {
    this.i32 = new Int32Array(buffer, at.outputs, at.maxOutputs * OUTPUT.WORDS);
    this.f32 = new Float32Array(buffer, at.outputs, at.maxOutputs * OUTPUT.WORDS);
    this.logits = new Float32Array(buffer, at.logits, at.maxOutputs * at.logitsStride);
    this.stride = at.logitsStride;
  }
  private readonly stride: number;

  /** Writes the request of output `index` of the step, for row `logitsRow` of the logits. */
  write(index: number, logitsRow: number, output: Output): void {
    const base = index * OUTPUT.WORDS;
    const { target, sample } = output;
    this.i32[base + OUTPUT.logits_row] = logitsRow;
    this.i32[base + OUTPUT.wants] = (target === undefined ? 0 : WANT_TARGET) | (sample ? WANT_SAMPLE : 0);
    if (target !== undefined) this.i32[base + OUTPUT.target] = this.checkedId(target, 'target');
    if (sample) this.writeParams(base, sample);
  }

  private writeParams(base: number, params: SampleParams): void {
    const { recent, bias } = params;
    const { i32, f32 } = this;
    writeSampleParams(WHERE, i32, f32, base + OUTPUT.temperature, params, this.vocab);
    for (let i = 0; i < recent.length; i++)
      i32[base + OUTPUT.recent + i] = this.checkedId(recent[i]!, 'recent id');
    if (!bias) return;
    for (let i = 0; i < bias.ids.length; i++)
      i32[base + OUTPUT.bias_ids + i] = this.checkedId(bias.ids[i]!, 'biased id');
    f32.set(bias.values, base + OUTPUT.bias_values);
  }

  /** Reads the module's results. Throws INVALID_FILE for probabilities that are not numbers. */
  read(index: number, output: Output): OutputResult {
    const base = index * OUTPUT.WORDS;
    const result: OutputResult = {};
    if (output.logits) {
      const begin = this.i32[base + OUTPUT.logits_row]! * this.stride;
      result.logits = this.logits.slice(begin, begin + this.vocab);
    }
    if (output.target !== undefined) result.target = checkedLogprob(this.f32[base + OUTPUT.target_logprob]!);
    if (output.sample) result.sampled = this.readSampled(base);
    return result;
  }

  private readSampled(base: number): Sampled {
    const top: Sampled['top'] = [];
    for (let i = 0; i < this.i32[base + OUTPUT.n_top]!; i++)
      top.push({
        id: this.i32[base + OUTPUT.top_ids + i]!,
        logprob: this.f32[base + OUTPUT.top_logprobs + i]!,
      });
    return {
      id: this.i32[base + OUTPUT.id]!,
      logprob: checkedLogprob(this.f32[base + OUTPUT.logprob]!),
      top,
    };
  }

  private checkedId(id: number, what: string): number {
    return checkedId(WHERE, id, what, this.vocab);
  }
}

function checkedLogprob(logprob: number): number {
  if (!Number.isNaN(logprob)) return logprob;
  throw notNumbers();
}
