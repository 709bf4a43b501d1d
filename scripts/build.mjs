#!/usr/bin/env node
// Builds dist/. `--node` builds only what Node needs (npm start, the tests); everything by default.
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

/** @type {import('esbuild').BuildOptions} */
const common = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  loader: { '.wasm': 'binary', '.wgsl': 'text' },
  charset: 'utf8',
  logLevel: 'warning',
  legalComments: 'none', // NOTICE names what is bundled
};

/** Node, Bun and Deno: dependencies stay imports; the workers are files beside the main module. */
export async function buildNode(outdir = join(dist, 'node')) {
  await build({
    ...common,
    entryPoints: {
      index: 'src/index.ts',
      'engine-worker': 'workers/engine.ts',
      'wasm-thread': 'workers/wasm-thread.ts',
      cli: 'src/cli/main.ts',
    },
    outdir,
    platform: 'node',
    target: 'node20',
    packages: 'external',
    splitting: true,
    chunkNames: '[name]-[hash]', // beside the entries: URLs relative to the module stay right
  });
  chmodSync(join(outdir, 'cli.js'), 0o755);
}

/** Browsers: everything in one folder without imports from elsewhere; the worker's text is in a lazy chunk. */
export async function buildBrowser(outdir = join(dist, 'browser')) {
  const browser = { ...common, platform: 'browser', target: 'es2022', minify: true };
  const worker = join(outdir, 'engine-worker.js');
  await build({
    ...browser,
    entryPoints: { 'engine-worker': 'workers/browser.ts' },
    outdir,
    format: 'iife',
    plugins: [inline('edge-ssm:engine-worker', () => '')], // a worker starts no engine
    logOverride: { 'empty-import-meta': 'silent' }, // only the page resolves the embedded model's files
  });
  await build({
    ...browser,
    entryPoints: { index: 'src/index.ts' },
    outdir,
    splitting: true,
    chunkNames: '[name]-[hash]',
    plugins: [inline('edge-ssm:engine-worker', () => readFileSync(worker, 'utf8'))],
  });
}

/** A module whose default export is a text. */
function inline(name, text) {
  return {
    name: 'inline',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: new RegExp(`^${name}$`) }, () => ({ path: name, namespace: 'inline' }));
      onLoad({ filter: /.*/, namespace: 'inline' }, () => ({ contents: text(), loader: 'text' }));
    },
  };
}

/** Declarations, as far as the public ones reach. */
export function buildTypes(outdir = join(dist, 'types')) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', outdir], {
    cwd: root,
    stdio: 'inherit',
  });
  const kept = new Set();
  const queue = [join(outdir, 'src/index.d.ts')];
  for (let file = queue.pop(); file; file = queue.pop()) {
    if (kept.has(file)) continue;
    kept.add(file);
    const text = readFileSync(file, 'utf8').replace(
      /(from |import\()(['"])(\.[^'"]+?)\.ts\2/g,
      (_, how, quote, path) => `${how}${quote}${path}.js${quote}`,
    );
    writeFileSync(file, text);
    for (const [, path] of text.matchAll(/(?:from |import\()['"](\.[^'"]+?)\.js['"]/g))
      queue.push(resolve(dirname(file), `${path}.d.ts`));
  }
  for (const entry of readdirSync(outdir, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (entry.isFile() && !kept.has(file)) rmSync(file);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const all = !process.argv.includes('--node');
  if (all) rmSync(dist, { recursive: true, force: true }); // chunks of earlier builds
  await buildNode();
  if (all) {
    await buildBrowser();
    buildTypes();
  }
}
