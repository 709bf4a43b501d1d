import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as esbuild } from 'esbuild';
import type { Browser } from 'playwright-core';
import { createServer, build as vite } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { provided } from '../helpers/provided.ts';
import { CONSUMER, INSTALLED, runScript } from '../package/context.ts';
import { launch } from './chromium.ts';
import { launchTabs } from './devtools.ts';
import { CHAT, PAGE, TOKENS_ON_GPU } from './page_code.ts';
import { ISOLATION, type Site, serve } from './server.ts';

const PROMPT = 'Once upon a time, there was a little';
const TINY = fileURLToPath(new URL('../../models/tiny', import.meta.url));
const NANO = fileURLToPath(new URL('../models/nano', import.meta.url));
const NOTHING = '<!doctype html><meta charset="utf-8"><title>edge-ssm</title>';

interface Expected {
  ids: number[];
  chat: string;
  logits: number;
}
let expected: Expected;
let browser: Browser;
const sites: Site[] = [];

beforeAll(async () => {
  expected = JSON.parse(
    await runScript(
      'expected.mjs',
      `import { load } from 'edge-ssm';
       const model = await load('tiny', { threads: 1 });
       const { tokens } = await model.generate(${JSON.stringify(PROMPT)}, { maxTokens: 40 }).result();
       const chat = (await model.generate(${JSON.stringify(CHAT)}, { maxTokens: 9 }).result()).text;
       const words = new Uint32Array((await model.logits([5, 6, 7])).buffer);
       const logits = words.reduce((hash, word) => Math.imul(hash ^ word, 0x01000193) >>> 0, 1);
       console.log(JSON.stringify({ ids: tokens.map(({ id }) => id), chat, logits }));`,
    ),
  );
});
afterAll(async () => {
  for (const site of sites) site.close();
  await browser?.close();
});

/** Runs a function of the page's in a fresh tab; what the page logs as an error fails the test. */
async function inPage<T>(url: string, name: string, args: unknown[]): Promise<T> {
  browser ??= await launch();
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  try {
    await page.goto(url);
    await page.waitForFunction('globalThis.use');
    const result = await page.evaluate(
      ([name, args]) =>
        (globalThis as unknown as Record<string, (...args: unknown[]) => unknown>)[name]!(...args),
      [name, args] as const,
    );
    return result as T;
  } catch (error) {
    throw new Error(`${error}\n${errors.join('\n')}`);
  } finally {
    await page.close();
  }
}

async function site(folder: string, headers: Record<string, string>): Promise<string> {
  const served = await serve(folder, headers);
  sites.push(served);
  return served.url;
}

/** A page and its scripts by esbuild, with the model's files copied beside, as README says. */
async function esbuildSite(): Promise<string> {
  const out = join(CONSUMER, 'esbuild-site');
  mkdirSync(out, { recursive: true });
  writeFileSync(join(CONSUMER, 'page.js'), PAGE);
  await esbuild({
    absWorkingDir: CONSUMER,
    entryPoints: ['page.js'],
    bundle: true,
    splitting: true,
    format: 'esm',
    outdir: out,
    logLevel: 'error',
  });
  cpSync(join(INSTALLED, 'dist/tiny.safetensors'), join(out, 'dist/tiny.safetensors')); // as docs/bundlers.md says
  cpSync(TINY, join(out, 'models/tiny'), { recursive: true });
  cpSync(NANO, join(out, 'models/nano'), { recursive: true });
  cpSync(join(INSTALLED, 'dist/browser/engine-worker.js'), join(out, 'engine-worker.js'));
  writeFileSync(join(out, 'index.html'), `${NOTHING}<script type="module" src="page.js"></script>`);
  return out;
}

/** A Vite project: nothing but its page. */
function viteProject(): string {
  const project = join(CONSUMER, 'vite-project');
  mkdirSync(join(project, 'src'), { recursive: true });
  writeFileSync(join(project, 'src/page.js'), PAGE);
  writeFileSync(join(project, 'index.html'), `${NOTHING}<script type="module" src="/src/page.js"></script>`);
  return project;
}

async function viteSite(): Promise<string> {
  const project = viteProject();
  await vite({ root: project, configFile: false, logLevel: 'error' });
  return join(project, 'dist');
}

async function viteDevelopment(headers: Record<string, string>): Promise<string> {
  const server = await createServer({
    root: viteProject(),
    configFile: false,
    logLevel: 'error',
    cacheDir: join(CONSUMER, `.vite-${Object.keys(headers).length}`),
    server: { host: '127.0.0.1', port: 0, headers, fs: { strict: false } },
  });
  await server.listen();
  sites.push({ url: '', close: () => void server.close() });
  return server.resolvedUrls!.local[0]!;
}

type Bundler = 'esbuild' | 'vite build' | 'vite dev';
async function urlOf(bundler: Bundler, headers: Record<string, string>): Promise<string> {
  if (bundler === 'vite dev') return viteDevelopment(headers);
  return site(bundler === 'esbuild' ? await esbuildSite() : await viteSite(), headers);
}

for (const bundler of ['esbuild', 'vite build', 'vite dev'] as const)
  for (const isolated of [true, false])
    test(`a page by ${bundler}, ${isolated ? '' : 'not '}cross-origin isolated: Node's tokens and bits`, async (context) => {
      provided(context, 'chromium');
      const url = await urlOf(bundler, isolated ? ISOLATION : {});
      const seen = await inPage<Record<string, unknown>>(url, 'use', [{ threads: 2 }, PROMPT]);
      expect(seen).toMatchObject(expectedWith(isolated));
    });

function expectedWith(isolated: boolean) {
  return {
    isolated,
    ids: expected.ids,
    left: expected.ids,
    chat: expected.chat,
    logits: expected.logits,
    threads: isolated ? 2 : 1,
    why: expect.stringContaining(isolated ? '2 threads as asked for' : 'COOP and COEP'),
    device: expect.stringMatching(/^Chrome \d+, \d+ cores$/),
    aborted: 'ABORTED',
    selfTest: true,
    disposed: ['CLOSED', 'CLOSED'],
  };
}

test('a conversation kept in the origin private file system', async (context) => {
  provided(context, 'chromium');
  const seen = await inPage<object>(await urlOf('esbuild', {}), 'keep', [PROMPT]);
  const ids = expected.ids.slice(0, 12);
  expect(seen).toEqual({ bytes: 0, ids: [ids, ids, ids] });
});

test('a model that was fetched is kept there, too, and loads offline', async (context) => {
  provided(context, 'chromium');
  const url = await urlOf('esbuild', {});
  const seen = await inPage<object>(url, 'keepFetched', [PROMPT, 'models/tiny/']);
  const ids = expected.ids.slice(0, 12);
  expect(seen).toEqual({
    ids: [ids, ids],
    absent: 'NOT_FOUND',
    kept: ['data', 'data', 'data', 'data', 'json', 'json', 'json', 'json'],
  });
});

test('WebGPU in a worker, its tab hidden and frozen midway: the tokens of WASM', {
  timeout: 300_000, // a software GPU is slow
}, async (context) => {
  provided(context, 'chromium');
  const { open, close } = launchTabs();
  try {
    const tab = await open(await urlOf('esbuild', {}));
    await tab.until('globalThis.onGpu');
    const running = tab.evaluate<Record<string, unknown[]>>("onGpu('models/nano/')");
    await tab.until('globalThis.onGpuBegan');
    await (await open('about:blank')).activate();
    await tab.freeze(true);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await tab.freeze(false);
    await tab.activate();
    const { wasm, webgpu, events } = await running;
    expect(webgpu).toEqual(wasm);
    expect(webgpu!.length).toBe(TOKENS_ON_GPU);
    expect(events).toEqual(['hidden', 'freeze', 'resume', 'visible']);
  } finally {
    await close();
  }
});

describe('sources of a page', () => {
  test('Files that the user chose', async (context) => {
    provided(context, 'chromium');
    const url = await urlOf('esbuild', {});
    const seen = await inPage<object>(url, 'useFiles', [PROMPT, `${url}models/tiny/`]);
    expect(seen).toMatchObject({ ids: expected.ids.slice(0, 12), stages: ['open', 'weights', 'ready'] });
  });

  test('a URL relative to the page', async (context) => {
    provided(context, 'chromium');
    const url = await urlOf('esbuild', {});
    const seen = await inPage<object>(url, 'use', [{ source: 'models/tiny/', threads: 1 }, PROMPT]);
    expect(seen).toMatchObject({ ids: expected.ids, selfTest: true });
  });

  test('a URL where nothing is: NOT_FOUND, naming it', async (context) => {
    provided(context, 'chromium');
    const url = await urlOf('esbuild', {});
    const seen = await inPage<object>(url, 'fail', ['absent/', {}]);
    expect(seen).toMatchObject({
      edge: true,
      code: 'NOT_FOUND',
      message: expect.stringContaining('absent/'),
    });
  });
});

describe('a strict Content-Security-Policy', () => {
  const POLICY =
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'";
  const headers = { ...ISOLATION, 'Content-Security-Policy': POLICY };

  test('with workerUrl: threads and all', async (context) => {
    provided(context, 'chromium');
    const url = await urlOf('esbuild', headers);
    const seen = await inPage<object>(url, 'use', [{ threads: 2, workerUrl: '/engine-worker.js' }, PROMPT]);
    expect(seen).toMatchObject(expectedWith(true));
  });

  test('without it: an error that says so', async (context) => {
    provided(context, 'chromium');
    const url = await urlOf('esbuild', headers);
    const seen = await inPage<object>(url, 'fail', ['tiny', {}]);
    expect(seen).toMatchObject({
      edge: true,
      code: 'WORKER_DIED',
      message: expect.stringContaining('workerUrl'),
    });
  });

  test('a workerUrl where nothing is: an error that names it', async (context) => {
    provided(context, 'chromium');
    const url = await urlOf('esbuild', {});
    const seen = await inPage<object>(url, 'fail', ['tiny', { workerUrl: '/absent.js' }]);
    expect(seen).toMatchObject({
      edge: true,
      code: 'WORKER_DIED',
      message: expect.stringContaining('/absent.js'),
    });
  });
});
