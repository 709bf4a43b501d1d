import { expect } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import type { Burst, GenerateOptions, GenerateResult, Prompt, Token } from '../../src/engine/types.ts';
import { EdgeError, type EdgeErrorCode } from '../../src/errors.ts';

let handles = 1000;
export const handle = () => handles++;

/** Runs a generation to its end, as a client does. */
export async function generate(
  engine: Engine,
  session: number | null,
  prompt: Prompt,
  options: GenerateOptions = {},
): Promise<GenerateResult & { bursts: Burst[] }> {
  const generation = handle();
  await engine.startGeneration(generation, session, prompt, options);
  const bursts: Burst[] = [];
  for (;;) {
    const burst = await engine.nextBurst(generation);
    bursts.push(burst);
    if (!burst.end) continue;
    const tokens = bursts.flatMap((b) => b.tokens);
    return { ...burst.end, tokens, text: tokens.map((t) => t.text).join('') + burst.end.text, bursts };
  }
}

/** Takes `count` tokens, and stops as a client that leaves its loop there. */
export async function take(
  engine: Engine,
  session: number | null,
  prompt: Prompt,
  count: number,
  options: GenerateOptions = {},
): Promise<Token[]> {
  const generation = handle();
  await engine.startGeneration(generation, session, prompt, options);
  const tokens: Token[] = [];
  while (tokens.length < count) {
    const burst = await engine.nextBurst(generation);
    tokens.push(...burst.tokens);
    if (burst.end) return tokens;
  }
  await engine.stopGeneration(generation, count);
  return tokens.slice(0, count);
}

export const ids = (tokens: readonly Token[]) => tokens.map((token) => token.id);

export async function open(engine: Engine): Promise<number> {
  const session = handle();
  await engine.openSession(session);
  return session;
}

/** Generations of every kind, which leave nothing behind; every tenth with a session, a fork, a save and a restore. */
export async function converse(engine: Engine, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const options = { maxTokens: 4, ignoreEos: true, ...(i % 3 === 0 && { temperature: 1, logprobs: 3 }) };
    if (i % 10 > 0) await generate(engine, null, [1, 2, 3 + (i % 100)], options);
    else {
      const [session, fork] = [await open(engine), handle()];
      await generate(engine, session, [1, 2], options);
      await engine.forkSession(session, fork);
      const bytes = await engine.saveSession(fork, 'f16');
      await engine.closeSession(fork);
      await engine.restoreSession(fork, bytes, {});
      for (const which of [session, fork]) await engine.closeSession(which);
    }
  }
}

/** What a session does next, which is all that can be known of its state. */
export async function future(
  engine: Engine,
  session: number,
): Promise<{ position: number; next: number[]; sampled: number[] }> {
  const position = engine.position(session);
  const next = ids((await generate(engine, session, '', { maxTokens: 4, repetitionPenalty: 1.5 })).tokens);
  const sampled = ids(
    (await generate(engine, session, [3], { maxTokens: 4, temperature: 2, seed: 1, presencePenalty: 1 }))
      .tokens,
  );
  return { position, next, sampled };
}

/** What an error must be. */
export async function rejects(
  promise: Promise<unknown>,
  code: EdgeErrorCode,
  message: RegExp = /./,
): Promise<void> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(EdgeError);
  expect(error).toMatchObject({ code });
  expect((error as EdgeError).message).toMatch(message);
}
