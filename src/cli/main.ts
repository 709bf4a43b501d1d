#!/usr/bin/env node
import { version } from '../../package.json';
import { readLoadOptions } from '../engine/core/load_options.ts';
import { readOptions } from '../engine/language/options.ts';
import { EdgeError, messageOf } from '../errors.ts';
import { commandLine, endWithOutput, print, printError, setExitCode } from '../runtime/terminal.node.ts';
import { bench } from './bench.ts';
import { cache } from './cache.ts';
import { chat } from './chat.ts';
import type { Command } from './command.ts';
import { convert } from './convert.ts';
import { evaluate } from './eval.ts';
import { info } from './info.ts';
import { inspect } from './inspect.ts';
import { logits } from './logits.ts';
import { refuseMistyped } from './mistyped.ts';
import { Options, optionHelp, UsageError } from './options.ts';
import { run } from './run.ts';
import { score } from './score.ts';
import { state } from './state.ts';

const COMMANDS: readonly Command[] = [
  run,
  chat,
  info,
  logits,
  score,
  evaluate,
  state,
  inspect,
  convert,
  cache,
  bench,
];

async function main(args: string[]): Promise<void> {
  const find = (word: string | undefined) => COMMANDS.find(({ name }) => name === word);
  if (args[0] === 'help') return print(help(find(args[1])));
  const named = find(args[0]);
  if (!named) refuseMistyped(args, [...COMMANDS.map(({ name }) => name), 'help']);
  const command = named ?? run;
  const options = new Options(named ? args.slice(1) : args, command.options);
  if (options.flag('version')) return print(`${version}\n`);
  if (options.flag('help')) return print(help(named));
  requireOptions(command, options);
  await command.run(options);
}

/** Checks the engine's options before a model is fetched. @throws INVALID_ARGUMENT, UsageError */
function requireOptions(command: Command, options: Options): void {
  if (command.options.includes('backend')) readLoadOptions(options.engine());
  if (command.options.includes('temperature')) readOptions(options.sampling(), Number.MAX_SAFE_INTEGER);
}

const RULE = `MODEL is 'tiny' (the embedded one, and the default), a folder, a file, a URL, or hf:ORG/NAME.
Every command takes it by --model; all but run and chat also as an argument.
The file '-' is standard input; what is piped in is the prompt or text where none is given.
`;

function help(command: Command | undefined): string {
  if (command)
    return `edge-ssm ${command.usage}\n\n${command.help}\n\n${optionHelp([...command.options, 'json', 'help'], command.about)}`;
  const usages = COMMANDS.map(({ usage }) => usage.replace(' [options]', ''));
  const width = Math.max(...usages.map(({ length }) => length)) + 2;
  const list = COMMANDS.map(({ help }, i) => `  edge-ssm ${usages[i]!.padEnd(width)}${help}\n`).join('');
  return `State space language models on this machine.\n\n${list}\n${RULE}\n${optionHelp([...run.options, 'json', 'help', 'version'])}`;
}

const WHY_NO_OUTPUT: Record<string, string> = { ENOSPC: 'no space is left on the device' };

endWithOutput((code) =>
  printError(`edge-ssm: Cannot write standard output: ${WHY_NO_OUTPUT[code] ?? code} [WRITE_FAILED]\n`),
);
try {
  await main(commandLine());
} catch (error) {
  const usage = error instanceof UsageError;
  const message = messageOf(error);
  const code = error instanceof EdgeError ? error.code : null;
  printError(`edge-ssm: ${message.replaceAll('\n', ' ')}${code === null ? '' : ` [${code}]`}\n`);
  if (usage) printError('Try: edge-ssm --help\n');
  setExitCode(usage ? 2 : code === 'ABORTED' ? 130 : 1);
}
