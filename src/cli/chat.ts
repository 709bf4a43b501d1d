import type { Model } from '../../workers/model.ts';
import type { Session } from '../../workers/session.ts';
import { EdgeError } from '../errors.ts';
import { exit, LineReader, print, printError } from '../runtime/terminal.node.ts';
import { type Command, MODEL_OPTIONS, withModel } from './command.ts';
import { type Options, SAMPLING_OPTIONS } from './options.ts';

const HINT =
  'Each line continues the conversation. /undo takes the last turn back, /retry runs it again, /fork goes on in a copy\n' +
  'that /back leaves, /save FILE and /load FILE keep it, /reset forgets it, /exit leaves; Ctrl-C stops a reply, twice leaves.\n';

/** Conversations that wait for /back, in host memory. */
const MAX_FORKS = 8;

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
      { maxSessions: 2, spill: MAX_FORKS }, // one to load into
    ),
};

/** Until the end of the input, or /exit. */
async function converse(model: Model, options: Options): Promise<void> {
  let session = await model.session();
  const origins: Session[] = []; // what /back returns to, the last one first
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
      const command = /^\/(reset|undo|retry|fork|back|save|load)(?: +(.+))?$/.exec(line);
      if (command?.[1] === 'retry' && last !== null) {
        await session.rewind({ turn: -1 });
        line = last;
      } else if (command) {
        session = await obey({ session, origins, model }, command[1]!, command[2]);
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

interface Talk {
  session: Session;
  origins: Session[];
  model: Model;
}

/** A command about the conversation; gives the session to go on with. */
async function obey({ session, origins, model }: Talk, command: string, file = ''): Promise<Session> {
  try {
    switch (command) {
      case 'reset':
        await session.reset();
        break;
      case 'undo':
        await session.rewind({ turn: -1 });
        break;
      case 'retry':
        printError('There is no last turn to run again\n');
        break;
      case 'fork': {
        const fork = await session.fork();
        origins.push(session);
        return fork;
      }
      case 'back': {
        const origin = origins.pop();
        if (origin) await session.close();
        else printError('There is no /fork to come back from\n');
        return origin ?? session;
      }
      default:
        return await keepInFile(session, model, command, file);
    }
  } catch (error) {
    if (error instanceof EdgeError && error.code === 'WORKER_DIED') throw error;
    printError(`edge-ssm: ${error instanceof Error ? error.message : String(error)}\n`);
  }
  return session;
}

/** /save and /load. */
async function keepInFile(session: Session, model: Model, command: string, file: string): Promise<Session> {
  if (file === '') {
    printError(`/${command} takes a file\n`);
    return session;
  }
  if (command === 'save') {
    await session.saveTo(file);
    return session;
  }
  const loaded = await model.session({ from: file });
  await session.close();
  return loaded;
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
