import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    consumer: string;
    tarball: string;
  }
}

/** A project with the packed tarball installed; see scripts/packed-setup.mjs. */
export const CONSUMER = inject('consumer');
export const TARBALL = inject('tarball');
export const INSTALLED = join(CONSUMER, 'node_modules/edge-ssm');

/** Runs a script in that project and returns what it printed. */
export async function runScript(
  name: string,
  text: string,
  command: readonly string[] = [process.execPath],
): Promise<string> {
  writeFileSync(join(CONSUMER, name), text);
  return (await runCommand([...command, name])).stdout;
}

export async function runCommand(command: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const [program, ...args] = command;
  return promisify(execFile)(program!, args, { cwd: CONSUMER, timeout: 100_000 });
}
