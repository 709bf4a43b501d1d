import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Format } from 'esbuild';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { missing, provided } from '../helpers/provided.ts';
import { PAGE, SERVICE_WORKER } from '../package/bundling.ts';
import { CONSUMER, INSTALLED } from '../package/context.ts';
import { launch } from './chromium.ts';
import { type Site, serve } from './server.ts';

const FOLDER = join(CONSUMER, 'policies-site');
const WRITTEN = { text: expect.stringMatching(/^ [a-z ,.A-Z]{20,}/), threads: 1 };
let browser: Browser;
const sites: Site[] = [];

beforeAll(async () => {
  writeFileSync(join(CONSUMER, 'policies.js'), PAGE);
  writeFileSync(join(CONSUMER, 'service-worker.js'), SERVICE_WORKER);
  const bundle = async (entry: string, format: Format, outdir: string) =>
    build({
      absWorkingDir: CONSUMER,
      entryPoints: [entry],
      bundle: true,
      splitting: format === 'esm',
      format,
      outdir: join(FOLDER, outdir),
      logLevel: 'error',
      logOverride: { 'empty-import-meta': 'silent' },
    });
  await bundle('policies.js', 'esm', '.');
  await bundle('service-worker.js', 'iife', 'one');
  await bundle('service-worker.js', 'esm', 'chunks');
  copyFileSync(join(INSTALLED, 'dist/tiny.safetensors'), join(FOLDER, 'tiny.safetensors'));
  copyFileSync(join(INSTALLED, 'dist/browser/engine-worker.js'), join(FOLDER, 'engine-worker.js'));
  const head = '<!doctype html><meta charset="utf-8"><title>edge-ssm</title>';
  writeFileSync(join(FOLDER, 'index.html'), `${head}<script type="module" src="policies.js"></script>`);
  if (!missing('chromium')) browser = await launch();
});
afterAll(async () => {
  for (const site of sites) site.close();
  await browser?.close();
});

async function inPage(policy: string | null, call: string): Promise<unknown> {
  const site = await serve(FOLDER, policy === null ? {} : { 'Content-Security-Policy': policy });
  sites.push(site);
  const page = await browser.newPage();
  try {
    await page.goto(site.url);
    await page.waitForFunction('globalThis.use');
    return await page.evaluate(call);
  } finally {
    await page.close();
  }
}

const failure = (code: string, message: RegExp) => ({
  edge: true,
  code,
  message: expect.stringMatching(message),
});

describe('Trusted Types', () => {
  const required = "require-trusted-types-for 'script'";
  test.for([
    ['any policy', required],
    ['the policy of edge-ssm', `${required}; trusted-types edge-ssm`],
  ] as const)('%s is allowed: it works', async ([, policy], context) => {
    provided(context, 'chromium');
    expect(await inPage(policy, "use('tiny.safetensors')")).toEqual(WRITTEN);
    expect(await inPage(policy, "use('tiny.safetensors', { workerUrl: '/engine-worker.js' })")).toEqual(
      WRITTEN,
    );
  });

  test('other policies are: an error that says what to allow', async (context) => {
    provided(context, 'chromium');
    const seen = await inPage(`${required}; trusted-types other`, "use('tiny.safetensors')");
    expect(seen).toEqual(failure('WORKER_DIED', /'trusted-types edge-ssm'/));
  });
});

test("a Content-Security-Policy without 'wasm-unsafe-eval': an error that says so", async (context) => {
  provided(context, 'chromium');
  for (const options of ['{}', "{ workerUrl: '/engine-worker.js' }"]) {
    const seen = await inPage(
      "script-src 'self'; worker-src 'self' blob:",
      `use('tiny.safetensors', ${options})`,
    );
    expect(seen).toEqual(failure('UNSUPPORTED_BACKEND', /needs 'wasm-unsafe-eval' in script-src/));
  }
});

describe('a service worker', () => {
  const ask = (script: string, type: string) => `(async () => {
    const answer = new Promise((resolve) => {
      navigator.serviceWorker.addEventListener('message', ({ data }) => resolve(data));
      navigator.serviceWorker.startMessages();
    });
    const registration = await navigator.serviceWorker.register('${script}', { type: '${type}' });
    (registration.installing ?? registration.waiting ?? registration.active).postMessage('/tiny.safetensors');
    return answer;
  })()`;

  test('of one script: in place', async (context) => {
    provided(context, 'chromium');
    expect(await inPage(null, ask('/one/service-worker.js', 'classic'))).toEqual(WRITTEN);
  });

  test('of several: an error that says to make it one', async (context) => {
    provided(context, 'chromium');
    const seen = await inPage(null, ask('/chunks/service-worker.js', 'module'));
    expect(seen).toEqual(failure('NETWORK', /bundle a service worker as one file/));
  });
});
