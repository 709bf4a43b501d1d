/** The command line's view of the terminal: Node, Bun and Deno. Not part of the library. */
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

/** What the process returns once it has nothing left to do. */
export function setExitCode(code: number): void {
  process.exitCode = code;
}

export function exit(code: number): never {
  process.exit(code);
}

/** A reader that goes away (`| head`) is no error. */
export function tolerateClosedOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => exit(error.code === 'EPIPE' ? 0 : 1));
}

/** @throws what the file system says, with its code */
export function readText(path: string): Promise<string> {
  return readFile(path, 'utf8');
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
