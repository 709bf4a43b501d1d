import { MAX_BIAS, MAX_RECENT, MAX_TOP, type Sampled, type SampleParams } from '../../ops/sample.ts';
import { checkedId, notNumbers, SAMPLE_WORDS, writeSampleParams } from '../common/sampling.ts';
import { MAX_ENDS, type Output, type OutputResult } from '../types.ts';

const WHERE = 'GPU outputs';

// The structs `Output` and `Result` of shaders/wgsl/lib/output.wgsl, in words.
const PARAMS = 3;
const ROW = PARAMS + SAMPLE_WORDS;
const RECENT = 20;
const ENDS = RECENT + MAX_RECENT;
const OUTPUT_WORDS = ENDS + MAX_ENDS;
const FAULTY = 3;
const TOP_IDS = 4;
const TOP_LOGPROBS = TOP_IDS + MAX_TOP;
const RESULT_WORDS = TOP_LOGPROBS + MAX_TOP;
export const OUTPUT_BYTES = 4 * OUTPUT_WORDS;
export const RESULT_BYTES = 4 * RESULT_WORDS;

const WANT_TARGET = 1;
const WANT_SAMPLE = 2;

/** What the kernels are told of a step's outputs. Allocates nothing once made. */
export class OutputWriter {
  private readonly u32: Uint32Array<ArrayBuffer>; // [maxOutputs · OUTPUT_WORDS]
  private readonly f32: Float32Array<ArrayBuffer>; // the same words
  readonly biases: Uint32Array<ArrayBuffer>; // [maxOutputs, MAX_BIAS, 2]
  private readonly biasValues: Float32Array<ArrayBuffer>; // the same words

  constructor(
    maxOutputs: number,
    private readonly vocab: number,
  ) {
    this.u32 = new Uint32Array(maxOutputs * OUTPUT_WORDS);
    this.f32 = new Float32Array(this.u32.buffer);
    this.biases = new Uint32Array(maxOutputs * MAX_BIAS * 2);
    this.biasValues = new Float32Array(this.biases.buffer);
  }

  /** The first `count` outputs. */
  words(count: number): Uint32Array<ArrayBuffer> {
    return this.u32.subarray(0, count * OUTPUT_WORDS);
  }

  /** What output `index` wants of row `logitsRow` of the logits; returns its entries of bias. */
  write(index: number, logitsRow: number, output: Output): number {
    const base = index * OUTPUT_WORDS;
    const { target, sample } = output;
    this.u32[base] = logitsRow;
    this.u32[base + 1] = (target === undefined ? 0 : WANT_TARGET) | (sample ? WANT_SAMPLE : 0);
    this.u32[base + 2] = target === undefined ? 0 : this.checkedId(target, 'target');
    this.u32[base + ROW] = output.row;
    if (!sample) {
      this.u32.fill(0, base + PARAMS, base + ROW);
      return 0;
    }
    this.writeParams(base, sample);
    this.writeEnds(base, output.ends ?? []);
    return this.writeBias(index, sample);
  }

  private writeParams(base: number, params: SampleParams): void {
    const { recent } = params;
    const { u32, f32 } = this;
    writeSampleParams(WHERE, u32, f32, base + PARAMS, params, this.vocab);
    for (let i = 0; i < recent.length; i++) u32[base + RECENT + i] = this.checkedId(recent[i]!, 'recent id');
  }

  private writeEnds(base: number, ends: readonly number[]): void {
    const known = ends.slice(0, MAX_ENDS);
    this.u32[base + ROW + 3] = known.length;
    this.u32.set(known, base + ENDS);
  }

  private writeBias(index: number, { bias }: SampleParams): number {
    if (!bias) return 0;
    const base = index * MAX_BIAS * 2;
    for (let i = 0; i < bias.ids.length; i++) {
      this.biases[base + 2 * i] = this.checkedId(bias.ids[i]!, 'biased id');
      this.biasValues[base + 2 * i + 1] = bias.values[i]!;
    }
    return bias.ids.length;
  }

  private checkedId(id: number, what: string): number {
    return checkedId(WHERE, id, what, this.vocab);
  }
}

/** What the kernels found for output `index`. Throws INVALID_FILE for probabilities that are not numbers. */
export function readResult(bytes: ArrayBuffer, index: number, output: Output): OutputResult {
  const u32 = new Uint32Array(bytes, index * RESULT_BYTES, RESULT_WORDS);
  const f32 = new Float32Array(bytes, index * RESULT_BYTES, RESULT_WORDS);
  const result: OutputResult = {};
  if ((output.target !== undefined || output.sample) && (u32[FAULTY] !== 0 || Number.isNaN(f32[1]!)))
    throw notNumbers();
  if (output.target !== undefined) result.target = f32[2]!;
  if (output.sample) {
    const top: Sampled['top'] = [];
    for (let i = 0; i < output.sample.top; i++)
      top.push({ id: u32[TOP_IDS + i]!, logprob: f32[TOP_LOGPROBS + i]! });
    result.sampled = { id: u32[0]!, logprob: f32[1]!, top };
  }
  return result;
}
