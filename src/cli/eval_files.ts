/** Task files: JSON lines, plain or gzipped, read one line at a time. */
import { EdgeError } from '../errors.ts';
import { listDirectory, openFile } from '../runtime/files.node.ts';
import type { JsonObject } from '../types.ts';
import { type Example, Row, shot, type Task } from './eval_tasks.ts';

/** The longest line that is read, in characters. */
const MAX_LINE = 1_000_000;
const BLOCK = 1 << 20;

/** The examples of a task, from the files of a folder. @throws NOT_FOUND, INVALID_FILE naming file, line and field */
export async function readTask(folder: string, task: Task, limit: number): Promise<Example[]> {
  const shots = await readShots(folder, task);
  const examples: Example[] = [];
  const file = await find(folder, task.file, task.name);
  for await (const { where, fields } of rows(file)) {
    if (examples.length >= limit) break;
    const by = task.shots ? String(fields[task.shots.by]) : '';
    examples.push(task.read(new Row(where, fields, shots.get(by) ?? '')));
  }
  if (examples.length === 0) throw new EdgeError('INVALID_FILE', `${file}: expected JSON lines, found none`);
  return examples;
}

/** Solved examples by subject. */
async function readShots(folder: string, { shots, name }: Task): Promise<Map<string, string>> {
  const solved = new Map<string, string[]>();
  if (!shots) return new Map();
  for await (const { where, fields } of rows(await find(folder, shots.file, name))) {
    const by = String(fields[shots.by]);
    const list = solved.get(by) ?? [];
    if (list.length < shots.count) list.push(shot(new Row(where, fields)));
    solved.set(by, list);
  }
  return new Map([...solved].map(([by, list]) => [by, list.join('')]));
}

async function find(folder: string, start: string, task: string): Promise<string> {
  const names = await listDirectory(folder);
  if (!names) throw new EdgeError('NOT_FOUND', `There is no folder '${folder}' with task files`);
  const found = names.filter((name) => name.startsWith(start) && /\.jsonl(\.gz)?$/.test(name)).sort()[0];
  if (found) return `${folder}/${found}`;
  throw new EdgeError('NOT_FOUND', `${folder} has no file ${start}*.jsonl[.gz], which task '${task}' reads`);
}

async function* rows(file: string): AsyncGenerator<{ where: string; fields: JsonObject }> {
  let number = 0;
  for await (const line of lines(file)) {
    number++;
    if (line.trim() === '') continue;
    const where = `${file}, line ${number}`;
    let fields: unknown;
    try {
      fields = JSON.parse(line);
    } catch (cause) {
      throw new EdgeError('INVALID_FILE', `${where}: expected a JSON object, found '${line.slice(0, 40)}'`, {
        cause,
      });
    }
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
      throw new EdgeError('INVALID_FILE', `${where}: expected a JSON object, found '${line.slice(0, 40)}'`);
    yield { where, fields: fields as JsonObject };
  }
}

async function* lines(file: string): AsyncGenerator<string> {
  let rest = '';
  let number = 1;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes?: Uint8Array) => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (cause) {
      throw new EdgeError('INVALID_FILE', `${file}, line ${number} or later: the text is not UTF-8`, {
        cause,
      });
    }
  };
  for await (const bytes of contents(file)) {
    const parts = (rest + decode(bytes)).split('\n');
    rest = parts.pop()!;
    for (const part of parts) {
      if (part.length > MAX_LINE) throw tooLong(file, number);
      yield part;
      number++;
    }
    if (rest.length > MAX_LINE) throw tooLong(file, number);
  }
  rest += decode();
  if (rest !== '') yield rest;
}

const tooLong = (file: string, line: number) =>
  new EdgeError('INVALID_FILE', `${file}, line ${line}: longer than ${MAX_LINE} characters`);

async function* contents(file: string): AsyncGenerator<Uint8Array> {
  const source = await openFile(file);
  if (!source) throw new EdgeError('NOT_FOUND', `There is no file '${file}'`);
  const blocks = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async start(controller) {
      for (let at = 0; at < source.size; at += BLOCK)
        controller.enqueue((await source.read(at, BLOCK)) as Uint8Array<ArrayBuffer>);
      controller.close();
    },
  });
  try {
    const stream = file.endsWith('.gz') ? blocks.pipeThrough(new DecompressionStream('gzip')) : blocks;
    for await (const bytes of stream) yield bytes as Uint8Array;
  } catch (cause) {
    if (cause instanceof EdgeError) throw cause;
    throw new EdgeError('INVALID_FILE', `${file}: it is no gzip file, or cut off`, { cause });
  } finally {
    await source.close();
  }
}
