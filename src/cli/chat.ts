import type { Model } from '../../workers/model.ts';
import type { Session } from '../../workers/session.ts';
import { EdgeError } from '../errors.ts';
import { writeFileAtomic } from '../runtime/files.node.ts';
import { exit, LineReader, print, printError } from '../runtime/terminal.node.ts';
import { type Command, MODEL_OPTIONS, withModel } from './command.ts';
import { type Options, SAMPLING_OPTIONS } from './options.ts';

const HINT =
  'Each line continues the conversation. /undo takes the last turn back, /retry runs it again, /save FILE and /load FILE\n' +
  'keep it, /reset forgets it, /exit leaves; Ctrl-C stops a reply, twice leaves.\n';

export const chat: Command = {
  name: 'chat',
  usage: 'chat [options]',
  help: 'a conversation that keeps its session',
  options: [...MODEL_OPTIONS, ...SAMPLING_OPTIONS],
  run: (options) =>
    withModel(
      options.text('model') ?? 'tiny',
      options,
      (model) => converse(model, options),
      { maxSessions: 2 }, // one to load into
    ),
};

/** Until the end of the input, or /exit. */
async function converse(model: Model, options: Options): Promise<void> {
  let session = await model.session();
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
    let last: string | null = null; // the line of the last turn
    for (let line = await lines.ask('> '); line !== null && line !== '/exit'; line = await lines.ask('> ')) {
      interrupted = false;
      const command = /^\/(reset|undo|retry|save|load)(?: +(.+))?$/.exec(line);
      if (command?.[1] === 'retry' && last !== null) {
        await session.rewind({ turn: -1 });
        line = last;
      } else if (command) {
        session = await obey(session, model, command[1]!, command[2]);
        last = null;
        continue;
      }
      last = line;
      reply = new AbortController();
      await answer(session, line, options, reply.signal);
      reply = null;
    }
  } finally {
    lines.close();
  }
}

/** A command about the conversation; gives the session to go on with. */
async function obey(session: Session, model: Model, command: string, file = ''): Promise<Session> {
  try {
    if (command === 'reset') await session.reset();
    else if (command === 'undo') await session.rewind({ turn: -1 });
    else if (command === 'retry') printError('There is no last turn to run again\n');
    else if (file === '') printError(`/${command} takes a file\n`);
    else if (command === 'save') await writeFileAtomic(file, [await session.save()]);
    else {
      const loaded = await model.session({ from: file });
      await session.close();
      return loaded;
    }
  } catch (error) {
    if (error instanceof EdgeError && error.code === 'WORKER_DIED') throw error;
    printError(`edge-ssm: ${error instanceof Error ? error.message : String(error)}\n`);
  }
  return session;
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
