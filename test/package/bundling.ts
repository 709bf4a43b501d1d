import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { BUNDLERS } from '../helpers/provided.ts';
import { CONSUMER } from './context.ts';

/** Imports what scripts/setup.sh installs. */
export const requireBundler = createRequire(join(BUNDLERS, 'package.json'));

export const PROMPT = 'Once upon a time';

/** What a server, or a page, does with the package; the error's message where it fails. */
const USE = `
  import { EdgeError, load } from 'edge-ssm';
  async function use(source = 'tiny', options = {}) {
    try {
      const model = await load(source, options);
      const { text } = await model.generate(${JSON.stringify(PROMPT)}, { maxTokens: 12 }).result();
      const { threads } = model.info;
      await model.dispose();
      return { text, threads };
    } catch (error) {
      return { edge: error instanceof EdgeError, code: error.code, message: error.message };
    }
  }`;
export const PAGE = `${USE}\nglobalThis.use = use;`;
/** Without await at its top, which CommonJS lacks. */
export const SERVER = `${USE}\nuse(process.argv[2], { threads: 2 }).then((seen) => console.log(JSON.stringify(seen)));`;
export const SERVICE_WORKER = `${USE}
  addEventListener('message', (event) => event.waitUntil(use(event.data).then((seen) => event.source.postMessage(seen))));`;

/** A project with the packed package, `linked` ones of the bundlers' folder, and these files. */
export function projectOf(files: Record<string, string>, linked: readonly string[] = []): string {
  const folder = deployment('project'); // outside of any node_modules, where sources are not transformed
  for (const installed of ['edge-ssm', 'comlink', '@huggingface'])
    cpSync(join(CONSUMER, 'node_modules', installed), join(folder, 'node_modules', installed), {
      recursive: true,
    });
  for (const name of linked)
    symlinkSync(join(BUNDLERS, 'node_modules', name), join(folder, 'node_modules', name));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** A folder from which no package is found, until the tests of the file are over. */
export function deployment(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `edge-ssm-${name}-`));
  folders.push(folder);
  return folder;
}

export interface Running {
  /** What it printed up to `until`'s match. */
  match: RegExpExecArray;
  stop(): Promise<void>;
}

/** Starts a server, and waits until it says that it is ready. */
export function start(
  command: string[],
  cwd: string,
  env: Record<string, string>,
  until: RegExp,
): Promise<Running> {
  const child = spawn(command[0]!, command.slice(1), { cwd, env: { ...process.env, ...env } });
  let said = '';
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  return new Promise((resolve, reject) => {
    const listen = (piece: Buffer) => {
      said += piece;
      const match = until.exec(said);
      if (match)
        resolve({
          match,
          stop: () => {
            child.kill();
            return ended;
          },
        });
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    void ended.then(() => reject(new Error(`${command.join(' ')} ended:\n${said}`)));
  });
}
