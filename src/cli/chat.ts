import type { Session } from '../../workers/session.ts';
import { EdgeError } from '../errors.ts';
import { exit, LineReader, print, printError } from '../runtime/terminal.node.ts';
import { type Command, MODEL_OPTIONS, withModel } from './command.ts';
import { type Options, SAMPLING_OPTIONS } from './options.ts';

const HINT =
  'Each line continues the conversation. /reset forgets it, /exit leaves; Ctrl-C stops a reply, twice leaves.\n';

export const chat: Command = {
  name: 'chat',
  usage: 'chat [options]',
  help: 'a conversation that keeps its session',
  options: [...MODEL_OPTIONS, ...SAMPLING_OPTIONS],
  run: (options) =>
    withModel(
      options.text('model') ?? 'tiny',
      options,
      async (model) => {
        const session = await model.session();
        await converse(session, options);
        await session.close();
      },
      { maxSessions: 1 },
    ),
};

async function converse(session: Session, options: Options): Promise<void> {
  const lines = new LineReader();
  let reply: AbortController | null = null;
  let interrupted = false;
  lines.onInterrupt(() => {
    if (interrupted) exit(130);
    interrupted = true;
    if (reply) reply.abort();
    else printError('\n(Ctrl-C again, or /exit, to leave)\n');
  });
  printError(HINT);
  try {
    for (let line = await lines.ask('> '); line !== null && line !== '/exit'; line = await lines.ask('> ')) {
      interrupted = false;
      if (line === '/reset') {
        await session.reset();
        continue;
      }
      reply = new AbortController();
      await answer(session, line, options, reply.signal);
      reply = null;
    }
  } finally {
    lines.close();
  }
}

/** What can be mended by typing something else does not end the conversation. */
async function answer(session: Session, line: string, options: Options, signal: AbortSignal): Promise<void> {
  const json = options.flag('json');
  const generation = session.generate(line, { ...options.sampling(), signal });
  try {
    if (!json) for await (const { text } of generation) await print(text);
    const { text, finishReason, usage } = await generation.result();
    if (json) await print(JSON.stringify({ text, finishReason, usage, position: session.position }));
  } catch (error) {
    if (!(error instanceof EdgeError) || error.code === 'WORKER_DIED') throw error;
    if (error.code !== 'ABORTED') printError(`edge-ssm: ${error.message}`);
  }
  await print('\n');
}
