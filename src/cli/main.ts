#!/usr/bin/env node
import { version } from '../../package.json';
import { EdgeError } from '../errors.ts';
import {
  commandLine,
  print,
  printError,
  setExitCode,
  tolerateClosedOutput,
} from '../runtime/terminal.node.ts';
import { bench } from './bench.ts';
import { cache } from './cache.ts';
import { chat } from './chat.ts';
import type { Command } from './command.ts';
import { convert } from './convert.ts';
import { evaluate } from './eval.ts';
import { info } from './info.ts';
import { inspect } from './inspect.ts';
import { logits } from './logits.ts';
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
  const named = COMMANDS.find(({ name }) => name === args[0]);
  const command = named ?? run;
  const options = new Options(named ? args.slice(1) : args, command.options);
  if (options.flag('version')) return print(`${version}\n`);
  if (options.flag('help')) return print(help(named));
  await command.run(options);
}

function help(command: Command | undefined): string {
  if (command)
    return `edge-ssm ${command.usage}\n\n${command.help}\n\n${optionHelp([...command.options, 'json', 'help'])}`;
  const width = Math.max(...COMMANDS.map(({ usage }) => usage.length)) + 2;
  const list = COMMANDS.map(({ usage, help }) => `  edge-ssm ${usage.padEnd(width)}${help}\n`).join('');
  return `State space language models on this machine.\n\n${list}\n${optionHelp([...run.options, 'json', 'help', 'version'])}`;
}

tolerateClosedOutput();
try {
  await main(commandLine());
} catch (error) {
  const usage = error instanceof UsageError;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof EdgeError ? ` [${error.code}]` : '';
  printError(`edge-ssm: ${message.replaceAll('\n', ' ')}${code}\n`);
  if (usage) printError('Try: edge-ssm --help\n');
  setExitCode(usage ? 2 : 1);
}
