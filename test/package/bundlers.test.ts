import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build as esbuild, type Format } from 'esbuild';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch } from '../browser/chromium.ts';
import { type Site, serve } from '../browser/server.ts';
import { BUNDLERS, provided, type Runtime, runtimeBinary } from '../helpers/provided.ts';
import { deployment, PAGE, PROMPT, projectOf, requireBundler, SERVER } from './bundling.ts';
import { INSTALLED, runCommand, runScript } from './context.ts';

const MODEL = join(INSTALLED, 'dist/tiny.safetensors');
const NOTHING = '<!doctype html><meta charset="utf-8"><title>edge-ssm</title>';
const LOST =
  /The bundler did not copy the embedded model.*Copy node_modules\/edge-ssm\/dist\/tiny\.safetensors/;
let text = '';

beforeAll(async () => {
  const script = `
    import { load } from 'edge-ssm';
    const model = await load('tiny');
    console.log((await model.generate(${JSON.stringify(PROMPT)}, { maxTokens: 12 }).result()).text);
    await model.dispose();`;
  text = (await runScript('unbundled.mjs', script)).replace(/\n$/, '');
  expect(text.length).toBeGreaterThan(20);
});

const esbuildFor = (format: Format) => async (project: string, out: string) => {
  const outfile = join(out, format === 'cjs' ? 'server.cjs' : 'server.mjs');
  const options = { bundle: true, platform: 'node', logLevel: 'error' } as const;
  await esbuild({ ...options, absWorkingDir: project, entryPoints: ['server.js'], format, outfile });
  return [process.execPath, outfile];
};

const bun = (how: string[], name: string, run: string[]) => async (project: string, out: string) => {
  const command = [runtimeBinary('bun'), 'build', 'server.js', ...how, '--outfile', join(out, name)];
  execFileSync(command[0]!, command.slice(1), { cwd: project, stdio: 'pipe' });
  return [...run, join(out, name)];
};

async function webpack(options: object): Promise<void> {
  const common = { mode: 'production', optimization: { minimize: false }, performance: false };
  const stats = await new Promise<{ hasErrors(): boolean; hasWarnings(): boolean }>((resolve, reject) =>
    requireBundler('webpack')({ ...common, ...options }, (error: unknown, found: never) =>
      error ? reject(error) : resolve(found),
    ),
  );
  expect([stats.hasErrors(), stats.hasWarnings()], String(stats)).toEqual([false, false]);
}

async function webpackForNode(project: string, path: string): Promise<string[]> {
  const output = { path, filename: 'server.cjs' };
  await webpack({ context: project, target: 'node20', entry: './server.js', output });
  return [process.execPath, join(path, 'server.cjs')];
}

interface Server {
  bundle(project: string, out: string): Promise<string[]>;
  needs: ('bundlers' | Runtime)[];
  carries?: boolean; // the embedded model too
}
const SERVERS: Record<string, Server> = {
  'esbuild, ESM': { bundle: esbuildFor('esm'), needs: [] },
  'esbuild, CommonJS': { bundle: esbuildFor('cjs'), needs: [] },
  'bun build for Node': {
    bundle: bun(['--target=node'], 'server.mjs', [process.execPath]),
    needs: ['bun'],
  },
  'bun build': { bundle: bun(['--target=bun'], 'server.mjs', [runtimeBinary('bun')]), needs: ['bun'] },
  'bun build --compile': { bundle: bun(['--compile'], 'server', []), needs: ['bun'] },
  'webpack for Node': { bundle: webpackForNode, needs: ['bundlers'], carries: true },
};

describe.each(Object.entries(SERVERS))('a server by %s', (name, { bundle, needs, carries }) => {
  test('runs with its worker and threads, and says what is to be copied', async (context) => {
    for (const what of [...needs, 'bundlers'] as const) provided(context, what);
    const out = deployment('server');
    const command = await bundle(projectOf({ 'server.js': SERVER, 'package.json': '{}' }), out);
    const run = async (...args: string[]) => {
      const { stdout, stderr } = await runCommand([...command, ...args]);
      expect(stderr).toBe('');
      return JSON.parse(stdout);
    };
    const fine = { text, threads: 2 };
    expect(await run(MODEL)).toEqual(fine);
    const named = await run();
    if (carries) return expect(named).toEqual(fine);
    expect(named).toMatchObject({ edge: true, code: 'NOT_FOUND', message: expect.stringMatching(LOST) });
    if (name.includes('--compile')) return;
    copyFileSync(MODEL, join(out, 'tiny.safetensors')); // beside the bundle
    expect(await run()).toEqual(fine);
  });
});

async function rollup(project: string, dir: string): Promise<void> {
  const { nodeResolve } = requireBundler('@rollup/plugin-node-resolve');
  const warnings: string[] = [];
  const onwarn = ({ message }: { message: string }) => warnings.push(message);
  const plugins = [nodeResolve({ browser: true })];
  const bundle = await requireBundler('rollup').rollup({ input: join(project, 'page.js'), plugins, onwarn });
  await bundle.write({ dir, format: 'es' });
  expect(warnings).toEqual([]);
}

async function parcel(project: string, out: string): Promise<void> {
  const options = ['--dist-dir', out, '--no-cache', '--no-source-maps', '--no-optimize', '--no-autoinstall'];
  const binary = join(BUNDLERS, 'node_modules/parcel/lib/bin.js');
  execFileSync(process.execPath, [binary, 'build', 'index.html', ...options], {
    cwd: project,
    stdio: 'pipe',
  });
}

const PAGES: Record<string, { bundle(project: string, out: string): Promise<void>; carries: boolean }> = {
  webpack: {
    bundle: (project, path) =>
      webpack({ context: project, entry: './page.js', output: { path, filename: 'page.js' } }),
    carries: true,
  },
  Parcel: { bundle: parcel, carries: true },
  Rollup: { bundle: rollup, carries: false },
};

describe('a page by', () => {
  let browser: Browser | undefined;
  const sites: Site[] = [];
  afterAll(async () => {
    for (const site of sites) site.close();
    await browser?.close();
  });

  for (const [name, { bundle, carries }] of Object.entries(PAGES))
    test(name, async (context) => {
      for (const what of ['bundlers', 'chromium'] as const) provided(context, what);
      const out = deployment('page');
      const index = `${NOTHING}<script type="module" src="page.js"></script>`;
      const project = projectOf({ 'page.js': PAGE, 'index.html': index, 'package.json': '{}' });
      await bundle(project, out);
      if (!existsSync(join(out, 'index.html'))) writeFileSync(join(out, 'index.html'), index);
      const site = await serve(out);
      sites.push(site);
      browser ??= await launch();
      const page = await browser.newPage();
      await page.goto(site.url);
      await page.waitForFunction('globalThis.use');
      if (!carries) {
        expect(await page.evaluate('use()')).toMatchObject({
          edge: true,
          code: 'NOT_FOUND',
          message: expect.stringMatching(LOST),
        });
        mkdirSync(join(out, 'assets'));
        copyFileSync(MODEL, join(out, 'assets/tiny.safetensors'));
      }
      expect(await page.evaluate(carries ? 'use()' : "use('/assets/tiny.safetensors')")).toEqual({
        text,
        threads: 1,
      });
      await page.close();
    });
});
