import type { Model } from '../api/model.ts';
import { EdgeError } from '../errors.ts';
import { exp } from '../weights/math.ts';

export interface TextResult {
  tokens: number; // scored
  bytes: number; // of the text in UTF-8
  bitsPerByte: number;
  perplexity: number; // of a token
}

/**
 * How well a model predicts a text: windows of at most `window` tokens, `stride` apart, each scoring the tokens that no
 * window before has scored; the first begins with bos, else eos, if the model has one, as the harness does it.
 * @throws INVALID_ARGUMENT for a text that is shorter than the stride
 */
export async function bitsPerByte(
  model: Model,
  text: string,
  { window, stride = window }: { window: number; stride?: number | undefined },
): Promise<TextResult> {
  const ids = await model.tokenizer.encode(text);
  if (ids.length < 2 || (stride < window && ids.length < stride))
    throw new EdgeError(
      'INVALID_ARGUMENT',
      `The text has ${ids.length} tokens, expected at least ${stride < window ? `the stride, ${stride}` : 2}`,
    );
  const start = model.info.bosTokenId ?? model.info.eosTokenIds[0];
  const all = start === undefined ? ids : Int32Array.from([start, ...ids]); // what is scored begins at index 1
  const windows: { from: number; to: number; scored: number }[] = [];
  for (let scored = 1; scored < all.length; ) {
    const to = Math.min(scored + (windows.length === 0 ? window : stride), all.length);
    windows.push({ from: Math.max(0, to - window - 1), to, scored });
    scored = to;
  }
  const sums = new Float64Array(windows.length);
  let next = 0;
  const work = async () => {
    for (let i = next++; i < windows.length; i = next++) {
      const { from, to, scored } = windows[i]!;
      const { logprobs } = await model.score(all.subarray(from, to));
      sums[i] = logprobs.subarray(scored - from).reduce((sum, value) => sum + value, 0);
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  const total = sums.reduce((sum, value) => sum + value, 0);
  const tokens = all.length - 1;
  const bytes = new TextEncoder().encode(text).length;
  return { tokens, bytes, bitsPerByte: -total / Math.LN2 / bytes, perplexity: exp(-total / tokens) };
}
