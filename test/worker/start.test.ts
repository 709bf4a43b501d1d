import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { EdgeError, load } from '../../src/index.ts';
import { loadNano, NANO } from './models.ts';

const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-start-'));
afterAll(() => rmSync(folder, { recursive: true }));
const INDEX = new URL('../../dist/node/index.js', import.meta.url).href;

/** Runs a module in a process of its own; gives what it printed. */
function run(code: string, flags: string[] = []): string {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [...flags, '--input-type=module', '--eval', `const { load } = await import('${INDEX}');\n${code}`],
    { encoding: 'utf8' },
  );
  expect(stderr.replace(/.*(ExperimentalWarning|trace-warnings).*\n/g, '')).toBe('');
  expect(status).toBe(0);
  return stdout.trim();
}

const OUTCOME = `.then(() => 'loaded', ({ name, code, message }) => name + ' ' + code + ': ' + message)`;

test('the worker may be named by a path or a file URL', async () => {
  const script = join(folder, 'engine-worker.cjs');
  writeFileSync(script, (await import('../../dist/node/engine-worker.script.js')).default);
  for (const workerUrl of [script, pathToFileURL(script)]) {
    const model = await loadNano({ workerUrl });
    expect((await model.generate('a', { maxTokens: 1 }).result()).tokens.length).toBe(1);
  }
  await expect(load(NANO, { workerUrl: '/absent/worker.js' })).rejects.toMatchObject({
    code: 'WORKER_DIED',
    message: expect.stringContaining('/absent/worker.js'),
  });
});

test('a process that may start no worker says so, and can load in place', () => {
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  const said = run(
    `console.log(await load('${NANO}')${OUTCOME});
     console.log(await load('${NANO}', { worker: false, threads: 1 })${OUTCOME});`,
    [permission, '--allow-fs-read=*'],
  );
  expect(said).toMatch(/^EdgeError WORKER_DIED: .*--allow-worker.*worker: false.*\nloaded$/);
});

test('a deleted working directory is an EdgeError', () => {
  const said = run(`
    import { mkdtempSync, rmdirSync } from 'node:fs';
    import { tmpdir } from 'node:os';
    process.chdir(mkdtempSync(tmpdir() + '/edge-ssm-gone-'));
    rmdirSync(process.cwd());
    console.log(await load('${NANO}')${OUTCOME});`);
  expect(said).toMatch(/^(loaded|EdgeError WORKER_DIED: .*uv_cwd.*)$/);
});

test('the stack of a failure shows the line that called', async () => {
  const model = await loadNano();
  async function theCallOfTheUser() {
    await model.score('a b', { signal: AbortSignal.abort() });
  }
  async function anotherCallOfTheUser() {
    await model.tokenizer.decode([-1]);
  }
  async function theLoopOfTheUser() {
    for await (const _ of model.generate('a', { temperature: -1 }));
  }
  async function theResultOfTheUser() {
    await model.generate('a', { temperature: -1 });
  }
  for (const call of [theCallOfTheUser, anotherCallOfTheUser, theLoopOfTheUser, theResultOfTheUser]) {
    const error = await call().catch((error: unknown) => error as EdgeError);
    expect(error).toBeInstanceOf(EdgeError);
    expect((error as EdgeError).stack).toContain(call.name);
  }
});

test('awaiting a generation gives its result; what is told of a model is not to be written to', async () => {
  const model = await loadNano();
  const result = await model.generate('a', { maxTokens: 2, ignoreEos: true });
  expect(result.tokens.length).toBe(2);
  expect(() => Object.assign(model.info, { vocabSize: 1 })).toThrow(TypeError);
  expect(() => Object.assign(model.info.weights, { bits: 1 })).toThrow(TypeError);
});
