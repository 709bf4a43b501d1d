import type { Model } from '../api/model.ts';
import { EdgeError, messageOf } from '../errors.ts';
import { exit, LineReader, print, printError } from '../runtime/terminal.node.ts';
import { type Command, MODEL_OPTIONS, modelOption, promptWords, withModel } from './command.ts';
import { type Options, SAMPLING_OPTIONS, UsageError } from './options.ts';
import { MessageTalk, type Talk, TextTalk } from './talk.ts';

const HINT =
  'Each line continues the conversation. /undo takes the last turn back, /retry runs it again, /fork goes on in a copy\n' +
  'that /back leaves, /save FILE and /load FILE keep it, /reset forgets it, /exit leaves; Ctrl-C stops a reply, twice leaves.\n';

const COMMANDS = ['undo', 'retry', 'fork', 'back', 'save', 'load', 'reset', 'help', 'exit'];

/** Conversations that wait for /back, in host memory. */
const MAX_FORKS = 8;

export const chat: Command = {
  name: 'chat',
  usage: 'chat [PROMPT] [options]',
  help: 'a conversation that keeps its session, in messages where the model has a chat template',
  options: [...MODEL_OPTIONS, ...SAMPLING_OPTIONS, 'system', 'raw'],
  run: async (options) => {
    const first = (await promptWords(options)) ?? null;
    if (options.flag('raw') && options.text('system') !== undefined)
      throw new UsageError('--system is a message; with --raw there are none');
    await withModel(
      modelOption(options),
      options,
      (model) => converse(model, options, first),
      { maxSessions: 2, spill: MAX_FORKS }, // one to load into
    );
  },
};

async function begin(model: Model, options: Options): Promise<Talk> {
  const system = options.text('system');
  if (system !== undefined && !model.info.hasChatTemplate)
    throw new UsageError(`--system needs a model with a chat template; ${model.info.name} has none`);
  const session = await model.session();
  if (options.flag('raw') || !model.info.hasChatTemplate) return new TextTalk(model, session);
  return new MessageTalk(model, session, system);
}

/** From a first line, if there is one, until the end of the input, or /exit. */
async function converse(model: Model, options: Options, first: string | null): Promise<void> {
  let talk = await begin(model, options);
  const origins: Talk[] = []; // what /back returns to, the last one first
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
    for (let line = first ?? (await lines.ask('> ')); line !== null; line = await lines.ask('> ')) {
      interrupted = false;
      const [, command, file] = /^\/([a-z]+)(?:\s+(.*?))?\s*$/i.exec(line) ?? []; // '/usr/bin' is text
      if (command === 'exit') break;
      if (command === 'retry' && last !== null) {
        await talk.undo();
        line = last;
      } else if (command !== undefined) {
        if (!COMMANDS.includes(command)) printError(unknown(command));
        else if (command === 'help') printError(HINT);
        else {
          talk = await obey(talk, origins, command, file);
          last = null;
        }
        continue;
      }
      reply = new AbortController();
      last = (await answer(talk, line, options, reply.signal)) ? line : null;
      reply = null;
    }
  } finally {
    lines.close();
  }
}

function unknown(command: string): string {
  const list = COMMANDS.map((name) => `/${name}`).join(', ');
  return `There is no /${command}; there are ${list}. A line that is to begin with it: put a space before.\n`;
}

/** A command about the conversation, which says what it did; gives the one to go on with. */
async function obey(talk: Talk, origins: Talk[], command: string, file = ''): Promise<Talk> {
  try {
    switch (command) {
      case 'reset':
        await talk.reset();
        printError('Forgotten: a new conversation\n');
        break;
      case 'undo':
        printError(`Took back ${await talk.undo()}\n`);
        break;
      case 'retry':
        printError('There is no last turn to run again\n');
        break;
      case 'fork': {
        const fork = await talk.fork();
        origins.push(talk);
        printError(`Fork ${origins.length}, a copy of ${talk.size}; /back returns to here\n`);
        return fork;
      }
      case 'back': {
        const origin = origins.pop();
        if (!origin) {
          printError('There is no /fork to come back from\n');
          return talk;
        }
        await talk.close();
        printError(`Left the fork: back at ${origin.size}\n`);
        return origin;
      }
      default:
        if (file === '') printError(`/${command} takes a file\n`);
        else {
          await (command === 'save' ? talk.save(file) : talk.load(file));
          printError(command === 'save' ? `Saved ${talk.size} in ${file}\n` : `Loaded ${talk.size}\n`);
        }
    }
  } catch (error) {
    if (error instanceof EdgeError && error.code === 'WORKER_DIED') throw error;
    printError(`edge-ssm: ${messageOf(error)}\n`);
  }
  return talk;
}

/**
 * Answers a line. An error that other input can avoid is printed and does not end the conversation.
 * Returns whether this was a turn, whole or not.
 */
async function answer(talk: Talk, line: string, options: Options, signal: AbortSignal): Promise<boolean> {
  const json = options.flag('json');
  let text = '';
  let failed = false;
  try {
    const generation = talk.reply(line, { ...options.sampling(), signal });
    for await (const piece of generation) {
      text += piece.text;
      if (!json) await print(piece.text);
    }
    const { finishReason, usage } = await generation.result();
    talk.keep(line, text);
    if (json) await print(JSON.stringify({ text, finishReason, usage, position: talk.position }));
  } catch (error) {
    if (!(error instanceof EdgeError) || error.code === 'WORKER_DIED') throw error;
    failed = error.code !== 'ABORTED';
    if (failed) printError(`edge-ssm: ${error.message}`);
    else talk.keep(line, text);
  }
  await print('\n');
  return !failed;
}
