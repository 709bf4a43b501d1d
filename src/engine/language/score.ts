import type { Output } from '../../backends/types.ts';
import { EdgeError, requireArgument, show } from '../../errors.ts';
import { exp } from '../../weights/math.ts';
import type { Call } from '../core/call.ts';
import type { Device } from '../core/device.ts';
import type { Score } from '../types.ts';
import { type Encoding, encode } from './prompt.ts';
import { Sequence } from './sequence.ts';

/** The most bytes of logits that are handed out at once. */
const MAX_LOGITS_BYTES = 2 ** 30;

/** Log-probabilities of a prompt's ids from a fresh state: of each token given those before it. No logits are copied. */
export async function score(device: Device, prompt: Encoding, call: Call): Promise<Score> {
  const ids = await encode(prompt(true), call);
  requireArgument(ids.length > 0, 'Nothing to score: the prompt is empty');
  const logprobs = new Float32Array(ids.length).fill(Number.NaN); // [n]
  const rows = ids.subarray(0, -1); // what precedes the last token
  const outputs = Array.from(rows, (_, row): Output => ({ row, target: ids[row + 1]! }));
  await onFreshSequence(device, call, (sequence) =>
    sequence.consume(rows, outputs, call, ({ target }, { row }) => {
      logprobs[row + 1] = target!;
    }),
  );
  const total = logprobs.subarray(1).reduce((sum, logprob) => sum + logprob, 0);
  return { ids, logprobs, total, perplexity: exp(-total / rows.length) };
}

/**
 * Log-probabilities of each continuation's tokens after the same context, from a fresh state. The context runs once;
 * what follows goes on from copies of its state.
 */
export async function scoreContinuations(
  device: Device,
  before: Encoding,
  after: readonly Encoding[],
  call: Call,
): Promise<Float32Array[]> {
  const context = await encode(before(true), call);
  const continuations: Int32Array[] = [];
  for (const encoding of after) continuations.push(await encode(encoding(false), call));
  requireArgument(context.length > 0, 'Continuations are scored after a context: it is empty');
  for (const [i, ids] of continuations.entries())
    requireArgument(ids.length > 0, `Continuation ${i} is empty: nothing to score`);
  const results = continuations.map((ids) => new Float32Array(ids.length)); // natural log
  await onFreshSequence(device, call, async (sequence) => {
    const row = context.length - 1;
    const firsts = continuations.map((ids): Output => ({ row, target: ids[0]! }));
    let next = 0;
    await sequence.consume(context, firsts, call, ({ target }) => {
      results[next++]![0] = target!;
    });
    const longer = [...continuations.keys()].filter((i) => continuations[i]!.length > 1);
    await eachFrom(device, sequence, longer, call, async (i, fork) => {
      const rows = continuations[i]!.subarray(0, -1);
      const outputs = Array.from(rows, (_, k): Output => ({ row: k, target: continuations[i]![k + 1]! }));
      await fork.consume(rows, outputs, call, ({ target }, { row: k }) => {
        results[i]![k + 1] = target!;
      });
    });
  });
  return results;
}

/** Runs each from the state of `sequence`: on copies in a second slot if one is free, else on itself, going back. */
async function eachFrom(
  device: Device,
  sequence: Sequence,
  which: readonly number[],
  call: Call,
  run: (i: number, sequence: Sequence) => Promise<void>,
): Promise<void> {
  const { arena } = device;
  const fork = which.length > 1 && arena.taken < arena.sessions ? await sequence.fork(call) : null;
  const before = which.length > 1 && !fork ? await sequence.undoPoint() : null;
  try {
    for (const [k, i] of which.entries()) {
      if (k > 0) await (fork ? fork.copy(sequence) : before?.restore());
      await run(i, fork ?? sequence);
    }
  } finally {
    before?.release();
    fork?.release();
  }
}

/** [last, vocab]: the logits of the last `rows` positions of a prompt (null: of all), from a fresh state. */
export async function logits(
  device: Device,
  prompt: Encoding,
  rows: number | null,
  call: Call,
): Promise<Float32Array> {
  const ids = await encode(prompt(true), call);
  const last = rows ?? ids.length;
  const { vocabSize } = device.program;
  requireArgument(ids.length > 0, 'No logits without a token: the prompt is empty');
  requireArgument(
    Number.isInteger(last) && last >= 1 && last <= ids.length,
    `last must be an integer from 1 to the number of tokens, ${ids.length}; found ${show(last)}`,
  );
  const bytes = last * vocabSize * 4;
  if (bytes > MAX_LOGITS_BYTES)
    throw new EdgeError(
      'OUT_OF_MEMORY',
      `${last} rows of ${vocabSize} logits are ${bytes} bytes, more than the ${MAX_LOGITS_BYTES} that are handed out ` +
        `at once: ask for at most ${Math.floor(MAX_LOGITS_BYTES / vocabSize / 4)} rows with 'last', or use score()`,
    );
  const result = new Float32Array(last * vocabSize); // [last, vocab]
  const first = ids.length - last;
  const outputs = Array.from({ length: last }, (_, i): Output => ({ row: first + i, logits: true }));
  await onFreshSequence(device, call, (sequence) =>
    sequence.consume(ids, outputs, call, (output, { row }) => {
      result.set(output.logits!, (row - first) * vocabSize);
    }),
  );
  return result;
}

/** Runs something on a slot of its own. */
export async function onFreshSequence<T>(
  device: Device,
  call: Call,
  run: (sequence: Sequence) => Promise<T>,
): Promise<T> {
  const sequence = await Sequence.open(device, 'test', call);
  try {
    return await run(sequence);
  } finally {
    sequence.release();
  }
}
