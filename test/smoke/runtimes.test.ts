import { existsSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { provided, type Runtime, runtimeBinary, SWIFTSHADER } from '../helpers/provided.ts';
import { CONSUMER, runCommand, runScript } from '../package/context.ts';
import { CHATML } from '../tokenizer/templates.ts';
import { COMMANDS } from './commands.ts';

const PROMPT = 'Once upon a time, there was a little';

/** The same program everywhere; prints what it saw as JSON, and ends by itself: idle workers keep nothing alive. */
const SCRIPT = `
  import { readFile } from 'node:fs/promises';
  import { EdgeError, load } from 'edge-ssm';
  const code = (promise) => promise.then(() => 'none', (e) => (e instanceof EdgeError ? e.code + ':' + typeof e.cause : String(e)));
  const seen = {};
  for (const threads of [1, 2]) {
    const model = await load('tiny', { threads });
    const { tokens, text } = await model.generate(${JSON.stringify(PROMPT)}, { maxTokens: 40 }).result();
    seen['threads ' + threads] = { ids: tokens.map(({ id }) => id), text, threads: model.info.threads };
    await model.dispose();
  }
  const folder = ${JSON.stringify(new URL('../../models/tiny/', import.meta.url))};
  const names = ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'];
  const files = await Promise.all(names.map(async (name) => new File([await readFile(new URL(name, folder))], name)));
  const stages = [];
  const model = await load(files, { maxSessions: 2, onProgress: ({ stage }) => stages.push(stage) });
  seen.device = model.info.device;
  seen.stages = [...new Set(stages)];
  const session = await model.session();
  const left = [];
  for await (const { id } of session.generate(${JSON.stringify(PROMPT)})) if (left.push(id) === 7) break;
  const rest = await session.generate('', { maxTokens: 33 }).result();
  seen.left = [...left, ...rest.tokens.map(({ id }) => id)];
  const sampled = { maxTokens: 24, temperature: 0.8, topP: 0.9, repetitionPenalty: 1.1, seed: 42 };
  const chat = { messages: [{ role: 'user', content: 'Hi 🌍' }], template: ${JSON.stringify(CHATML)} };
  seen.chat = [await model.applyChatTemplate(chat.messages, chat), (await model.generate(chat, { maxTokens: 9 }).result()).text];
  seen.sampled = (await model.generate('The dog', sampled).result()).text;
  const logits = await model.logits([5, 6, 7]);
  const words = new Uint32Array(logits.buffer);
  seen.logits = [words.length, words.reduce((hash, word) => Math.imul(hash ^ word, 0x01000193) >>> 0, 1)];
  seen.selfTest = (await model.selfTest()).ok;
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error('enough')), 50);
  seen.aborted = await code(session.append(new Int32Array(1e6).fill(5), { signal: controller.signal }));
  seen.busy = await code((async () => {
    for await (const _ of session.generate('x')) await session.append('y');
  })());
  seen.refused = await code(model.generate('x', { temperature: -1 }).result());
  seen.absent = await code(load('/absent/model'));
  const pending = code(model.score(new Int32Array(1e6).fill(5)));
  await model.dispose();
  seen.disposed = [await pending, await code(model.session())];
  await load('tiny'); // never disposed
  console.log(JSON.stringify(seen));`;

type Seen = Record<string, unknown> & { device: string };
let expected: Seen;

beforeAll(async () => {
  expected = JSON.parse(await runScript('smoke.mjs', SCRIPT));
});

test('this Node', () => {
  const { ids, text } = expected['threads 1'] as { ids: number[]; text: string };
  expect(ids.length).toBe(40);
  expect(text.length).toBeGreaterThan(80);
  expect(expected).toMatchObject({
    'threads 2': { ids, text, threads: 2 },
    left: ids,
    chat: ['<|im_start|>user\nHi 🌍<|im_end|>\n', expect.stringMatching(/./)],
    device: expect.stringContaining(`Node.js ${process.versions.node}`),
    stages: ['open', 'weights', 'ready'],
    selfTest: true,
    aborted: 'ABORTED:object',
    busy: 'BUSY:undefined',
    refused: 'INVALID_ARGUMENT:undefined',
    absent: expect.stringMatching(/^NOT_FOUND:/),
    disposed: ['CLOSED:undefined', 'CLOSED:undefined'],
  });
});

describe.each(COMMANDS)('%s', (runtime, device, args) => {
  test('gives the same tokens, bits and errors as Node', async (context) => {
    provided(context, runtime);
    const seen: Seen = JSON.parse(await runScript('smoke.mjs', SCRIPT, [runtimeBinary(runtime), ...args]));
    expect(seen.device).toContain(device);
    expect({ ...seen, device: null }).toEqual({ ...expected, device: null });
  });

  test('runs the command line', async (context) => {
    provided(context, runtime);
    const cli = `${CONSUMER}/node_modules/edge-ssm/dist/node/cli.js`;
    const line = [cli, PROMPT, '--max-tokens', '12', '--json'];
    const { stdout } = await runCommand([runtimeBinary(runtime), ...args, ...line]);
    const { ids } = expected['threads 1'] as { ids: number[] };
    expect(JSON.parse(stdout).ids).toEqual(ids.slice(0, 12));
  });
});

test('Deno without --allow-read: an error that asks for it; with it, nothing else is needed', async (context) => {
  provided(context, 'deno');
  const script = `
    import { load } from 'edge-ssm';
    const seen = await load('tiny', { threads: 2 }).then((model) => model.info.threads, (e) => e.code + ' ' + e.message);
    console.log(JSON.stringify(seen));`;
  const command = [runtimeBinary('deno'), 'run', '--no-prompt', '--node-modules-dir=manual'];
  const run = async (...flags: string[]) =>
    JSON.parse(await runScript('permissions.mjs', script, [...command, ...flags]));
  expect(await run()).toMatch(/^NOT_FOUND .*--allow-read/);
  expect(await run('--allow-read')).toBe(2);
});

const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** A small model on WASM and on WebGPU, in a worker: the package `webgpu` in Node and Bun, Deno's own in Deno. */
const GPU_SCRIPT = `
  import { load } from 'edge-ssm';
  const seen = {};
  for (const backend of ['wasm', 'webgpu']) {
    const model = await load(${JSON.stringify(project('test/models/nano'))},
      { backend, numerics: 'exact', quantize: 'none', threads: 1 });
    const { tokens } = await model.generate([1, 5, 9, 200, 31, 77], { maxTokens: 12, ignoreEos: true }).result();
    seen[backend] = { ids: tokens.map(({ id }) => id), device: model.info.device };
    await model.dispose();
  }
  console.log(JSON.stringify(seen));`;

describe.each([['node', 'Node.js', []] as [string, string, string[]], ...COMMANDS])(
  'WebGPU in %s',
  (runtime, device, args) => {
    test('gives the tokens of WASM', async (context) => {
      if (runtime !== 'node') provided(context, runtime as Runtime);
      provided(context, 'chromium'); // whose software GPU it is
      const link = join(CONSUMER, 'node_modules/webgpu');
      if (!existsSync(link)) symlinkSync(project('node_modules/webgpu'), link);
      const binary = runtime === 'node' ? process.execPath : runtimeBinary(runtime as Runtime);
      const command = ['env', `VK_ICD_FILENAMES=${SWIFTSHADER}`, binary, ...args];
      const { wasm, webgpu } = JSON.parse(await runScript('gpu.mjs', GPU_SCRIPT, command));
      expect(webgpu.ids).toEqual(wasm.ids);
      expect(webgpu.ids.length).toBe(12);
      expect(webgpu.device).toMatch(new RegExp(`SwiftShader.*${device}`));
    });
  },
);
