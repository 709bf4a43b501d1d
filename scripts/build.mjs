#!/usr/bin/env node
// Builds dist/. `--node` builds only what Node needs (npm start, the tests); everything by default.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  loader: { '.wgsl': 'text' },
  charset: 'utf8',
  logLevel: 'warning',
  legalComments: 'none', // NOTICE names what is bundled
  chunkNames: '[name]-[hash]',
};

/** Sources name what the build makes by its path in dist/; outputs lie one folder deep in it. */
const built = {
  name: 'built',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.\/\.\.\/dist\// }, ({ path }) => ({
      path: path.replace('../../dist/', '../'),
      external: true,
    }));
  },
};

/** Node, Bun and Deno: dependencies stay imports, but for those of the workers, whose scripts are texts. */
export async function buildNode(outdir = join(dist, 'node')) {
  const node = { ...common, platform: 'node', target: 'node20' };
  const worker = async (entry, plugins = []) => {
    const { outputFiles } = await build({
      ...node,
      entryPoints: [entry],
      format: 'cjs', // as scripts of `eval` are
      minifySyntax: true,
      logOverride: { 'empty-import-meta': 'silent' }, // a text is nowhere: it is told where the package is
      plugins: [...plugins, built],
      write: false,
    });
    return outputFiles[0].text;
  };
  mkdirSync(outdir, { recursive: true });
  const thread = await worker('workers/wasm-thread.ts');
  const engine = await worker('workers/engine.ts', [
    inline('../../dist/node/wasm-thread.script.js', () => thread),
  ]);
  writeFileSync(join(outdir, 'wasm-thread.script.js'), scriptOf(thread));
  writeFileSync(join(outdir, 'engine-worker.script.js'), scriptOf(engine));
  await build({
    ...node,
    entryPoints: { index: 'src/index.ts', cli: 'src/cli/main.ts' },
    outdir,
    packages: 'external',
    splitting: true,
    plugins: [built],
  });
  chmodSync(join(outdir, 'cli.js'), 0o755);
  buildShared();
}

/** What all runtimes take: the modules of WebAssembly as scripts, and the embedded model. */
function buildShared() {
  const modules = join(root, 'wasm/modules');
  mkdirSync(join(dist, 'wasm'), { recursive: true });
  for (const name of readdirSync(modules)) {
    const base64 = readFileSync(join(modules, name), 'base64');
    const decode = 'export default Uint8Array.from(atob(text), (c) => c.charCodeAt(0));';
    writeFileSync(join(dist, 'wasm', `${name}.js`), `const text = '${base64}';\n${decode}\n`);
  }
  writeFileSync(join(dist, 'tiny.safetensors'), packModel(join(root, 'models/tiny')));
}

/** Browsers: everything without imports from elsewhere; the worker's text is in a lazy chunk. */
export async function buildBrowser(outdir = join(dist, 'browser')) {
  const browser = { ...common, platform: 'browser', target: 'es2022', minify: true };
  const worker = join(outdir, 'engine-worker.js');
  await build({
    ...browser,
    entryPoints: { 'engine-worker': 'workers/browser.ts' },
    outdir,
    format: 'iife',
    plugins: [inline('edge-ssm:engine-worker', () => ''), built], // a worker starts no engine
    logOverride: { 'empty-import-meta': 'silent' }, // only the page knows where the embedded model is
  });
  await build({
    ...browser,
    entryPoints: { index: 'src/index.ts' },
    outdir,
    splitting: true,
    plugins: [inline('edge-ssm:engine-worker', () => readFileSync(worker, 'utf8')), built],
  });
}

/** A model's folder as one file: see src/weights/packed.ts. Its config is in the weights already. */
export function packModel(folder) {
  const weights = readFileSync(join(folder, 'model.safetensors'));
  const begin = 8 + Number(weights.readBigUInt64LE(0));
  const { __metadata__, ...tensors } = JSON.parse(weights.toString('utf8', 8, begin));
  const names = readdirSync(folder).filter((name) => /\.(json|jinja)$/.test(name) && name !== 'config.json');
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  const metadata = { ...__metadata__, 'edge_ssm.files': JSON.stringify(files) };
  const text = Buffer.from(JSON.stringify({ __metadata__: metadata, ...tensors }));
  const header = Buffer.concat([text, Buffer.alloc(-text.length & 7, ' ')]); // tensors begin at a multiple of 8
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, weights.subarray(begin)]);
}

const scriptOf = (text) => `export default ${JSON.stringify(text)};\n`;

/** A module whose default export is a text. */
function inline(name, text) {
  return {
    name: 'inline',
    setup({ onResolve, onLoad }) {
      const filter = new RegExp(`^${name.replaceAll('.', '\\.')}$`);
      onResolve({ filter }, () => ({ path: name, namespace: 'inline' }));
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
  const worker = join(outdir, 'worker.d.ts'); // a script: it exports nothing
  writeFileSync(worker, 'export {};\n');
  const kept = new Set([worker]);
  const queue = [join(outdir, 'src/index.d.ts')];
  for (let file = queue.pop(); file; file = queue.pop()) {
    if (kept.has(file)) continue;
    kept.add(file);
    // Typed arrays are generic since TypeScript 5.7.
    const plain = readFileSync(file, 'utf8').replaceAll(/(\w+Array)<ArrayBuffer>/g, '$1');
    const text = plain.replace(
      /(from |import\()(['"])(\.[^'"]+?)\.ts\2/g,
      (_, how, quote, path) => `${how}${quote}${path}.js${quote}`,
    );
    const disposable = text.includes('Symbol.asyncDispose')
      ? '/// <reference lib="esnext.disposable" />\n'
      : '';
    writeFileSync(file, disposable + text);
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
