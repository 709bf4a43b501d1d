import { EdgeError, messageOf } from '../../errors.ts';
import { GREEDY } from '../../ops/sample.ts';
import type { JsonValue } from '../../types.ts';
import { Call } from '../core/call.ts';
import type { Device } from '../core/device.ts';
import { onFreshSequence } from '../language/score.ts';
import type { Sequence } from '../language/sequence.ts';
import type { EngineInfo, SelfTestReport } from '../types.ts';
import { relativeError } from './metrics.ts';

/** Greedy tokens that a model is known to give after some ids, from a fresh state. */
export interface Golden {
  ids: readonly number[];
  tokens: readonly number[];
}

/**
 * Known tokens as a checkpoint's metadata has them: JSON, `[{"ids": […], "tokens": […]}]`.
 * @throws INVALID_FILE if it is something else
 */
export function readGolden(name: string, value: JsonValue | undefined, vocabSize: number): Golden[] {
  if (value === undefined) return [];
  const isIds = (list: unknown): list is number[] =>
    Array.isArray(list) &&
    list.length > 0 &&
    list.every((id) => Number.isInteger(id) && id >= 0 && id < vocabSize);
  try {
    const golden: unknown = typeof value === 'string' ? JSON.parse(value) : value;
    if (Array.isArray(golden) && golden.every(({ ids, tokens }) => isIds(ids) && isIds(tokens)))
      return golden;
  } catch {} // no JSON, or no objects in it
  throw new EdgeError(
    'INVALID_FILE',
    `${name}: 'selftest' of the metadata must be a JSON list of { ids, tokens }`,
  );
}

export interface SelfTestParts {
  device: Device;
  info: EngineInfo;
  golden?: readonly Golden[];
  nonFinite?: string | null;
  testOps?: () => Promise<Outcome>;
  testFormats?: () => Promise<Outcome>;
}

type Outcome = { ok: boolean; detail: string };

const PROMPT = 12; // tokens
const CONTINUED = 4;
/** Of the logits of a chunk against those of single steps, on devices whose kernels for the two differ (docs/adr/0006). */
const TOLERANCE = 1e-3;

/** Checks a loaded model on this very device. Takes one session's slot while it runs. */
export async function selfTest(parts: SelfTestParts): Promise<SelfTestReport> {
  const checks: SelfTestReport['checks'] = [];
  const check = async (name: string, run: () => Promise<Outcome>) => {
    checks.push({ name, ...(await run().catch(failure)) });
  };
  const { testOps, testFormats, golden = [] } = parts;
  if (testOps) await check('ops', testOps);
  if (testFormats) await check('formats', testFormats);
  await check('numbers', () => numbers(parts));
  await check('prefill', () => prefill(parts));
  for (const [i, known] of golden.entries())
    await check(`golden ${i + 1}`, () => goldenTokens(parts.device, known));
  return { ok: checks.every(({ ok }) => ok), checks };
}

/** A check that can't run has failed, unless the model is gone or full. */
function failure(error: unknown): Outcome {
  if (
    error instanceof EdgeError &&
    ['CLOSED', 'OUT_OF_MEMORY', 'DEVICE_LOST', 'WORKER_DIED'].includes(error.code)
  )
    throw error;
  return { ok: false, detail: messageOf(error) };
}

/** Logits without NaN or infinity, and weights too. */
async function numbers({ device, info, nonFinite }: SelfTestParts): Promise<Outcome> {
  const ids = examplePrompt(info);
  let bad = 0;
  await onFreshSequence(device, new Call(), async (sequence) => {
    const { logits } = await sequence.predict(ids, { logits: true }, new Call());
    for (const value of logits!) if (!Number.isFinite(value)) bad++;
  });
  if (nonFinite)
    return { ok: false, detail: `${nonFinite}; ${bad} of ${info.vocabSize} logits are no finite numbers` };
  if (bad > 0)
    return {
      ok: false,
      detail: `${bad} of ${info.vocabSize} logits are no finite numbers, though all weights are`,
    };
  return { ok: true, detail: `${info.vocabSize} finite logits after ${ids.length} tokens` };
}

/** A chunk at a time and a token at a time lead to the same tokens, and within the tolerance to the same logits. */
async function prefill({ device, info }: SelfTestParts): Promise<Outcome> {
  const ids = examplePrompt(info);
  const chunked = await onFreshSequence(device, new Call(), (sequence) => continued(sequence, [ids]));
  const single = await onFreshSequence(device, new Call(), (sequence) =>
    continued(
      sequence,
      Array.from(ids, (id) => Int32Array.of(id)),
    ),
  );
  const error = relativeError(chunked.logits, single.logits);
  const same = chunked.tokens.join() === single.tokens.join();
  const detail = `chunk ${chunked.tokens.join(' ')}, single steps ${single.tokens.join(' ')}, relative error of the logits ${error.toExponential(1)}`;
  return { ok: same && error <= TOLERANCE, detail };
}

async function goldenTokens(device: Device, { ids, tokens }: Golden): Promise<Outcome> {
  const found = await onFreshSequence(device, new Call(), (sequence) =>
    greedy(sequence, Int32Array.from(ids), tokens.length),
  );
  const differs = tokens.findIndex((id, i) => found[i] !== id);
  if (differs < 0) return { ok: true, detail: `${tokens.length} tokens as known` };
  return { ok: false, detail: `token ${differs + 1} is ${found[differs]}, known is ${tokens[differs]}` };
}

/** The logits after a prompt given in parts, and greedy tokens after it. */
async function continued(
  sequence: Sequence,
  parts: readonly Int32Array[],
): Promise<{ logits: Float32Array; tokens: number[] }> {
  for (const part of parts.slice(0, -1)) await sequence.predict(part, {}, new Call());
  const last = parts.at(-1)!;
  const position = sequence.position + last.length;
  const { logits, sampled } = await sequence.predict(
    last,
    { logits: true, sample: { ...GREEDY, position } },
    new Call(),
  );
  sequence.commit(sampled!.id);
  return {
    logits: logits!,
    tokens: [sampled!.id, ...(await greedy(sequence, new Int32Array(0), CONTINUED - 1))],
  };
}

async function greedy(sequence: Sequence, ids: Int32Array, count: number): Promise<number[]> {
  const tokens: number[] = [];
  for (let next = ids; tokens.length < count; next = next.subarray(0, 0)) {
    const position = sequence.position + sequence.rowsWith(next);
    const { sampled } = await sequence.predict(next, { sample: { ...GREEDY, position } }, new Call());
    sequence.commit(sampled!.id);
    tokens.push(sampled!.id);
  }
  return tokens;
}

/** Ids from all over the vocabulary, after the one that texts begin with. */
function examplePrompt({ vocabSize, bosTokenId, eosTokenIds, maxContext }: EngineInfo): Int32Array {
  const length = Math.max(1, Math.min(PROMPT, maxContext - CONTINUED));
  const ids = Int32Array.from({ length }, (_, i) => Math.floor((((i * 7) % PROMPT) * vocabSize) / PROMPT));
  ids[0] = bosTokenId ?? eosTokenIds[0] ?? 0;
  return ids;
}
