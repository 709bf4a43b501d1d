import { EdgeError } from '../../errors.ts';
import { MAX_BIAS, MAX_RECENT, MAX_TOP, type SampleParams } from '../../ops/sample.ts';
import { SAMPLING_ROWS } from '../../ops/sampling_options.ts';

/** Words that `writeSampleParams` writes: the options, seed, position, and how many recent ids, biases and top tokens. */
export const SAMPLE_WORDS = SAMPLING_ROWS.length + 6;

/**
 * A row's sampling options as words, in the order of wasm/ops/sample.h and shaders/wgsl/lib/output.wgsl. `words` and
 * `floats` are views of the same memory. Throws INTERNAL for more than the kernels have room for.
 */
export function writeSampleParams(
  where: string,
  words: Int32Array | Uint32Array,
  floats: Float32Array,
  at: number,
  params: SampleParams,
  vocab: number,
): void {
  const { recent, bias, top } = params;
  if (recent.length > MAX_RECENT || (bias?.ids.length ?? 0) > MAX_BIAS || top > MAX_TOP)
    throw new EdgeError(
      'INTERNAL',
      `${where}: ${recent.length} recent ids, ${bias?.ids.length} biases, ${top} top tokens`,
    );
  let word = at;
  for (const [name, { word: type }] of SAMPLING_ROWS)
    if (type === 'f32') floats[word++] = params[name];
    else words[word++] = Math.min(params[name], vocab);
  words[word++] = params.seedLo;
  words[word++] = params.seedHi;
  words[word++] = params.position;
  words[word++] = recent.length;
  words[word++] = bias?.ids.length ?? 0;
  words[word++] = Math.min(top, vocab);
}

/** Throws INTERNAL for an id that the vocabulary does not have. */
export function checkedId(where: string, id: number, what: string, vocab: number): number {
  if (!(id >= 0 && id < vocab))
    throw new EdgeError('INTERNAL', `${where}: ${what} ${id} is outside the vocabulary of ${vocab}`);
  return id;
}

/** The error for probabilities that are not numbers. */
export function notNumbers(): EdgeError {
  return new EdgeError(
    'INVALID_FILE',
    'The model computed NaN where logits were expected: its weights hold NaN or infinite values, or are damaged',
  );
}
