import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { describe, expect, test } from 'vitest';
import { BUNDLERS, provided } from '../helpers/provided.ts';
import { CONSUMER, INSTALLED, runCommand, runScript, TARBALL } from './context.ts';

const binary = (path: string) => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url));
const manifest = JSON.parse(readFileSync(join(INSTALLED, 'package.json'), 'utf8'));

describe('the packed tarball', () => {
  test('holds what users need, and no sources or tests', () => {
    const entries = readdirSync(INSTALLED).sort();
    for (const name of ['LICENSE', 'NOTICE', 'dist', 'docs', 'models', 'package.json'])
      expect(entries).toContain(name);
    for (const name of ['src', 'workers', 'test', 'scripts', 'wasm', 'node_modules'])
      expect(entries).not.toContain(name);
  });

  test('needs no install script', () => {
    expect(
      Object.keys(manifest.scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name)),
    ).toEqual([]);
  });

  test('its documents link to nothing that it lacks', () => {
    const inDocs = readdirSync(join(INSTALLED, 'docs'), { recursive: true, encoding: 'utf8' });
    const documents = [...readdirSync(INSTALLED), ...inDocs.map((name) => `docs/${name}`)].filter((name) =>
      name.endsWith('.md'),
    );
    const lost = documents.flatMap((document) =>
      [...readFileSync(join(INSTALLED, document), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
        .map(([, link]) => link!)
        .filter((link) => !/^[a-z]+:/.test(link) && !existsSync(join(INSTALLED, document, '..', link)))
        .map((link) => `${document}: ${link}`),
    );
    expect(documents.length).toBeGreaterThan(15);
    expect(lost).toEqual([]);
  });

  test('publint finds nothing', async () => {
    const bytes = readFileSync(TARBALL);
    const tarball = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    const { messages, pkg } = await publint({ pack: { tarball } });
    // Parcel reads the field `browser`; `exports` say the same to others.
    const faults = messages.filter(({ code }) => code !== 'USE_EXPORTS_OR_IMPORTS_BROWSER');
    expect(faults.map((message) => formatMessage(message, pkg!))).toEqual([]);
  });

  test('types resolve for all but require()', async () => {
    const attw = `${process.execPath} ${binary('@arethetypeswrong/cli/dist/index.js')} ${TARBALL}`;
    const options = '--exclude-entrypoints ./tiny.safetensors --format json > attw.json || true'; // a pipe would be cut
    await runCommand(['sh', '-c', `${attw} ${options}`]);
    const report = JSON.parse(readFileSync(join(CONSUMER, 'attw.json'), 'utf8'));
    const problems = Object.values(report.problems).flat() as { resolutionKind?: string }[];
    // The package is ESM, which require() of earlier Nodes does not load.
    expect(problems.filter(({ resolutionKind }) => !/-cjs$/.test(resolutionKind ?? ''))).toEqual([]);
  });

  const EARLIER = `${BUNDLERS}node_modules/typescript/bin/tsc`; // 5.4
  const CURRENT = binary('typescript/bin/tsc');
  test.for([
    ['this TypeScript', 'node16', 'node16', CURRENT],
    ['this TypeScript', 'esnext', 'bundler', CURRENT],
    ['TypeScript 5.4', 'node16', 'node16', EARLIER],
    ['TypeScript 5.4', 'esnext', 'bundler', EARLIER],
    ['TypeScript 5.4', 'esnext', 'node10', EARLIER],
  ] as const)(
    'a strict program type-checks (%s, module %s, resolution %s)',
    async ([, module, moduleResolution, compiler], context) => {
      if (compiler === EARLIER) provided(context, 'bundlers');
      const program = `
      import { EdgeError, load, type Model, type ModelInfo, type Session, type Token } from 'edge-ssm';
      export type Worker = typeof import('edge-ssm/worker');
      export async function use(files: File[]): Promise<number> {
        await using model: Model = await load(files, { threads: 2, onProgress: ({ stage, loaded }) => void [stage, loaded] });
        const info: ModelInfo = model.info;
        const session: Session = await model.session();
        for await (const token of session.generate('', { maxTokens: 3, stop: ['x'] })) { const t: Token = token; void t; }
        const { text, usage } = await model.generate([1, 2]).result();
        const error = new EdgeError('BUSY', text);
        // @ts-expect-error there is no such option
        model.generate('', { maxToken: 1 });
        return info.weightBytes + usage.promptTokens + error.code.length;
      }`;
      // Declarations are checked, too, with no more libraries than most have.
      const options = `--noEmit --strict --target es2022 --lib es2022,dom --module ${module} --moduleResolution ${moduleResolution}`;
      const command = [process.execPath, compiler, ...options.split(' ')];
      await runScript('program.ts', program, command);
    },
  );

  test('what a page loads stays within 300 kB gzip', () => {
    const folder = join(INSTALLED, 'dist/browser');
    const gzipped = (name: string) => gzipSync(readFileSync(join(folder, name)), { level: 9 }).length;
    const names = readdirSync(folder);
    const modules = readdirSync(join(INSTALLED, 'dist/wasm')).map((name) => `../wasm/${name}`);
    const inPlace = names.filter((name) => /^(service|compose)-/.test(name)); // only with worker: false
    const worker = names.filter((name) => name === 'engine-worker.js'); // the inlined one again
    const rest = names.filter((name) => ![...inPlace, ...worker].includes(name));
    expect(modules.length).toBe(7);
    expect(inPlace.length).toBe(2);
    const sum = rest.reduce((sum, name) => sum + gzipped(name), 0) + Math.max(...modules.map(gzipped));
    expect(sum).toBeGreaterThan(50_000);
    expect(sum).toBeLessThanOrEqual(300_000);
    // And all there is, each module once.
    const all = modules.reduce((sum, name) => sum + gzipped(name), 0);
    console.log(
      `a page loads at most ${sum} bytes; JS ${rest.reduce((s, name) => s + gzipped(name), 0)}, all modules ${all}`,
    );
  });

  test('the embedded model is at most 14 MB', () => {
    expect(statSync(join(INSTALLED, 'dist/tiny.safetensors')).size).toBeLessThanOrEqual(14e6);
  });
});

describe('importing the package does nothing', () => {
  // Node's own build, and the one of browsers as a server that renders pages may import it.
  test.each(['edge-ssm', './node_modules/edge-ssm/dist/browser/index.js'])('%s', async (specifier) => {
    const script = `
      const before = new Set(Reflect.ownKeys(globalThis));
      const touched = [];
      process.on('worker', () => touched.push('worker'));
      for (const name of ['fetch', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask']) {
        const real = globalThis[name];
        globalThis[name] = (...args) => (touched.push(name), real(...args));
      }
      const compile = WebAssembly.compile;
      WebAssembly.compile = (...args) => (touched.push('compile'), compile(...args));
      const { load, EdgeError } = await import(${JSON.stringify(specifier)});
      const added = Reflect.ownKeys(globalThis).filter((key) => !before.has(key)).map(String);
      console.log(JSON.stringify({ touched, added, exports: [typeof load, typeof EdgeError] }));`;
    const found = JSON.parse(await runScript('import.mjs', script));
    expect(found).toEqual({ touched: [], added: [], exports: ['function', 'function'] });
  });

  test('and names are few', async () => {
    const script = "console.log(JSON.stringify(Object.keys(await import('edge-ssm'))));";
    expect(JSON.parse(await runScript('names.mjs', script))).toEqual(['EdgeError', 'load']);
  });
});

test('the command line is installed', async () => {
  const { stdout, stderr } = await runCommand([
    join(CONSUMER, 'node_modules/.bin/edge-ssm'),
    'Once',
    '--max-tokens',
    '3',
  ]);
  expect(stdout).toMatch(/^Once.+\n$/);
  expect(stderr).toMatch(/\d tok\/s/);
});
