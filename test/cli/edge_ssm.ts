/** The command line as a process of its own. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

export const CLI = fileURLToPath(new URL('../../dist/node/cli.js', import.meta.url));
export const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
export const PROMPT = 'Once upon a time';

export interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

/** Starts it; `until` waits for a text, `ended` for its end. */
export function start(args: string[]) {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: 'pipe' });
  const text = { stdout: '', stderr: '' };
  type Stream = keyof typeof text;
  const waiting: { stream: Stream; part: string; resolve: () => void }[] = [];
  const look = () => {
    for (const { stream, part, resolve } of waiting) if (text[stream].includes(part)) resolve();
  };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (chunk) => {
      text[stream] += chunk;
      look();
    });
  const ended = new Promise<Outcome>((resolve) =>
    child.on('close', (code) => resolve({ code, out: text.stdout, err: text.stderr })),
  );
  const until = (stream: Stream, part: string) =>
    new Promise<void>((resolve) => {
      waiting.push({ stream, part, resolve });
      look();
    });
  return { child, ended, until };
}

/** Runs it to its end. */
export async function edgeSsm(args: string[], input = ''): Promise<Outcome> {
  const { child, ended } = start(args);
  child.stdin.end(input);
  return ended;
}

/** What it prints with --json. */
export const json = async (args: string[]) => {
  const { code, out, err } = await edgeSsm([...args, '--json']);
  expect({ code, err }).toMatchObject({ code: 0 });
  return JSON.parse(out);
};
