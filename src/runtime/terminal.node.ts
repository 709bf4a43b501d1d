/** The command line's view of the terminal: Node, Bun and Deno. Not part of the library. */
import { fstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';

export { type ParseArgsConfig, parseArgs } from 'node:util';

/** Arguments after the program's name. */
export function commandLine(): string[] {
  return process.argv.slice(2);
}

/** Ends when the text is handed over, so that a slow reader slows the writer. */
export function print(text: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}

export function printError(text: string): void {
  process.stderr.write(text);
}

/** Is standard error a terminal, for progress bars? */
export function errorIsTerminal(): boolean {
  return process.stderr.isTTY === true;
}

export function inputIsTerminal(): boolean {
  return process.stdin.isTTY === true;
}

/** Sets the exit code of the process. */
export function setExitCode(code: number): void {
  process.exitCode = code;
}

export function exit(code: number): never {
  process.exit(code);
}

/**
 * Ends the process when nothing can be printed any more: quietly where the reader went away (`| head`), which is no
 * error, else after `say`, with exit code 1. Standard error may be closed, or full.
 */
export function endWithOutput(say: (code: string) => void): void {
  process.stderr.on('error', () => {});
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') exit(0);
    say(code ?? message);
    exit(1);
  });
}

/** @throws what the file system says, with its code */
export function readBytes(path: string): Promise<Uint8Array> {
  return readFile(path);
}

/** All of standard input. */
export async function readInput(): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part as Uint8Array);
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * Is standard input a pipe or a file that a shell put there? Not a terminal or /dev/null, nor a socket, which programs
 * leave open without meaning anything by it.
 */
export function inputIsPiped(): boolean {
  try {
    const input = fstatSync(0);
    return input.isFIFO() || input.isFile();
  } catch {
    return false; // closed
  }
}

/**
 * Node 20 has relaxed SIMD behind a flag, and its baseline compiler gets the dot product wrong: it goes too.
 * Process-wide, so the library never does this. To be called before anything is compiled.
 */
export function enableRelaxedSimd(): void {
  if (!process.versions.node.startsWith('20.')) return;
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  setFlagsFromString('--no-liftoff');
}

/** The most memory that this process has held, in bytes. */
export function peakMemory(): number {
  return process.resourceUsage().maxRSS * 1024;
}

/** Calls `listener` at each Ctrl-C, until the function that this returns is called. */
export function onInterrupt(listener: () => void): () => void {
  process.on('SIGINT', listener);
  return () => process.off('SIGINT', listener);
}

/** Lines of standard input, asked for one at a time with a prompt. */
export class LineReader {
  readonly #interface = createInterface({
    input: process.stdin,
    output: process.stderr,
    terminal: inputIsTerminal(),
  });
  readonly #lines = this.#interface[Symbol.asyncIterator]();

  /** The next line; null at the end of the input. */
  async ask(prompt: string): Promise<string | null> {
    this.#interface.setPrompt(prompt);
    if (inputIsTerminal()) this.#interface.prompt();
    const { value, done } = await this.#lines.next();
    return done ? null : value;
  }

  /** Calls `listener` at each Ctrl-C. */
  onInterrupt(listener: () => void): void {
    this.#interface.on('SIGINT', listener);
    process.on('SIGINT', listener);
  }

  close(): void {
    this.#interface.close();
  }
}
