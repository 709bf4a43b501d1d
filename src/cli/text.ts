/** Texts that a command reads: of files, of standard input. */
import { EdgeError } from '../errors.ts';
import { inputIsPiped, readBytes, readInput } from '../runtime/terminal.node.ts';
import { type Options, UsageError } from './options.ts';

/** Stands for standard input where a file is expected. */
export const STANDARD_INPUT = '-';

/**
 * The text of a file, or of standard input: UTF-8, or UTF-16 with a byte order mark, which is no part of it.
 * @throws NOT_FOUND, INVALID_FILE
 */
export async function readText(file: string): Promise<string> {
  if (file === STANDARD_INPUT) return decode(await readInput(), 'standard input');
  const bytes = await readBytes(file).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'EISDIR' ? 'it is a directory' : cause.code;
    throw new EdgeError('NOT_FOUND', `${file} cannot be read (${why})`, { cause });
  });
  return decode(bytes, file);
}

/** A prompt of a file: without the newline that editors and echo put at its end. */
export async function readPrompt(file: string): Promise<string> {
  return (await readText(file)).replace(/\r?\n$/, '');
}

/** The text of a pipe or a redirected file, unless it is empty. */
export async function pipedInput(read: (file: string) => Promise<string>): Promise<string | undefined> {
  if (!inputIsPiped()) return undefined;
  return (await read(STANDARD_INPUT)) || undefined;
}

/** The prompt of a command: --ids, --text, a file, or what is piped. */
export async function promptOption(
  options: Options,
  {
    file: name = 'text-file',
    missing = `Give one of --ids, --text and --${name}, or pipe a text in`,
  }: {
    file?: 'text-file' | 'prompt-file';
    missing?: string; // said where there is none
  } = {},
): Promise<number[] | string> {
  const [ids, text, file] = [options.ids('ids'), options.text('text'), options.text(name)];
  const read = name === 'prompt-file' ? readPrompt : readText;
  const given = [ids, text, file].filter((value) => value !== undefined).length;
  if (given > 1) throw new UsageError(`Give only one of --ids, --text and --${name}`);
  const found = ids ?? text ?? (file === undefined ? await pipedInput(read) : await read(file));
  if (found === undefined) throw new UsageError(missing);
  return found;
}

function decode(bytes: Uint8Array, name: string): string {
  const [first, second] = bytes;
  const little = first === 0xff && second === 0xfe;
  const big = first === 0xfe && second === 0xff;
  const encoding = little ? 'utf-16le' : big ? 'utf-16be' : 'utf-8';
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (cause) {
    const line = new TextDecoder(encoding).decode(bytes).split('\ufffd', 1)[0]!.split('\n').length;
    throw new EdgeError(
      'INVALID_FILE',
      `${name} is not ${encoding.toUpperCase()}, which line ${line} shows; expected UTF-8 (iconv -f ISO-8859-1 -t UTF-8 makes it of Latin-1)`,
      { cause },
    );
  }
  if (!text.includes('\0')) return text;
  const line = text.split('\0', 1)[0]!.split('\n').length;
  throw new EdgeError(
    'INVALID_FILE',
    `${name} is no text: line ${line} has zero bytes (UTF-16 needs a byte order mark)`,
  );
}
