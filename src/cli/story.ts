import type { Model } from '../api/model.ts';
import type { Session } from '../api/session.ts';
import type { GenerationOptions } from '../api/types/index.ts';
import type { Usage } from '../engine/types.ts';
import { print, printError } from '../runtime/terminal.node.ts';
import { bytes, figures } from './report.ts';

/** How a story begins where no prompt says otherwise. */
export const OPENING = 'Once upon a time, there was a little girl named Lily.';
/** How it may go on. */
const TURNS = ['\nInside was a tiny dragon.', '\nLily closed the box'];

/** One opening of the embedded model, and two endings of it by a fork. */
export async function tellStory(model: Model): Promise<void> {
  const session = await model.session();
  const usages = [await tell(session, OPENING, { stop: '\n' })];
  const fork = await session.fork();
  const state = bytes(model.info.slotBytes);
  await print(
    `\n\n[ The conversation is ${state} of state, however long it gets. A fork copies it: two endings. ]\n`,
  );
  for (const [i, turn] of TURNS.entries()) {
    await print(`\n[ ${i + 1} ]`);
    usages.push(await tell(i === 0 ? session : fork, turn));
    await print('\n');
  }
  printError(`${figures(model.info, usages.reduce(sum))}\n`);
}

async function tell(session: Session, prompt: string, options: GenerationOptions = {}): Promise<Usage> {
  await print(prompt);
  const generation = session.generate(prompt, { maxTokens: 500, ...options });
  for await (const { text } of generation) await print(text);
  return (await generation.result()).usage;
}

function sum(a: Usage, b: Usage): Usage {
  return {
    promptTokens: a.promptTokens + b.promptTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    completionTokens: a.completionTokens + b.completionTokens,
    prefillMs: a.prefillMs + b.prefillMs,
    decodeMs: a.decodeMs + b.decodeMs,
  };
}
