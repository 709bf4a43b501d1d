import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLI } from '../cli/edge_ssm.ts';
import { ROOT, source } from '../helpers/source.ts';
import { type Block, blocksOf, DOCUMENTS, wayOf } from './blocks.ts';
import { complete, programOf } from './programs.ts';
import { makeFiles, PLACEHOLDERS, serveFiles } from './stand_ins.ts';

/** Blocks that are not run: the reason stands in the document, and here. */
const NOT_RUN = [
  'README.md: it fetches packages',
  'README.md: it fetches packages',
  'README.md: it fetches packages, and runs this',
  'docs/bundlers.md: it bundles the build for browsers, which is made after this runs',
  'docs/bundlers.md: a header',
  'docs/bundlers.md: it needs a page with that policy',
  'docs/weights.md: a message, for a file that nobody should have',
];

const blocks = DOCUMENTS.flatMap((file) => blocksOf(file));
const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-docs-'));
const library = pathToFileURL(join(CLI, '../index.js')).href;
let server: { url: string; close(): void };
beforeAll(async () => {
  await makeFiles(folder);
  server = await serveFiles(folder);
}, 120_000);
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

function run(program: string, args: string[]): Promise<{ code: unknown; out: string; err: string }> {
  const env = {
    ...process.env,
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    HF_ENDPOINT: server.url,
    EDGE_SSM_CACHE: join(folder, 'cache'),
  };
  return new Promise((resolve) => {
    execFile(program, args, { cwd: folder, env }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

/** With this test's server in place of theirs. */
const here = (text: string) =>
  text.replaceAll('https://example.org', server.url).replaceAll("'/assets/", `'${server.url}/assets/`);

test('every block is one that this knows how to run, or says why it is not run', () => {
  expect(blocks.length).toBeGreaterThan(15);
  const name = ({ file, line }: Block) => `${file}:${line}`;
  expect(blocks.filter((block) => wayOf(block) === null).map(name)).toEqual([]);
  const left = blocks.filter((block) => wayOf(block) === 'not run');
  expect(left.map(({ file, comment }) => `${file}: ${comment!.slice('not run: '.length)}`)).toEqual(NOT_RUN);
});

test('blocks are found, with their comments', () => {
  const text =
    'a\n<!-- not run: x -->\n```ts\nlet a;\n```\n\n```python\nb\n```\n```\nnpx edge-ssm\nrm\n```\n';
  expect(blocksOf('x.md', text).map((block) => [block.line, wayOf(block)])).toEqual([
    [4, 'not run'],
    [8, null],
    [11, null],
  ]);
});

test('programs have the types that they are said to have', async () => {
  const at = join(folder, 'types');
  mkdirSync(at);
  const programs = blocks.filter((block) => wayOf(block) === 'program');
  for (const block of programs)
    writeFileSync(
      join(at, `${block.file.replace(/\W/g, '_')}_${block.line}.ts`),
      `${complete(block)}\nexport {};\n`,
    );
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      paths: { 'edge-ssm': [join(ROOT, 'src/index.ts')] },
      typeRoots: [join(ROOT, 'node_modules/@types')],
      useUnknownInCatchVariables: false, // some are JavaScript
    },
    include: ['.', join(ROOT, 'src/runtime/assets.d.ts')],
  };
  writeFileSync(join(at, 'tsconfig.json'), JSON.stringify(config));
  const { out } = await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', at]);
  expect(out).toBe('');
});

test("README's picture shows what npx edge-ssm prints", async () => {
  const { code, err } = await run(process.execPath, [join(ROOT, 'scripts/picture.mjs'), '--check']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
});

test('README explains every code of an error', () => {
  const codes = source('src/errors.ts').match(/(?<=^ {2}\| ')[A-Z_]+/gm)!;
  const explained = source('README.md')
    .match(/^\| `[A-Z_`, ]+ \|/gm)!
    .join()
    .match(/[A-Z_]+/g);
  expect(codes.length).toBeGreaterThan(15);
  expect(explained!.sort()).toEqual(codes.sort());
});

/** What GitHub calls the headings of a document (those of one name are numbered), and the names that it gives itself. */
function anchorsOf(text: string): string[] {
  const seen = new Map<string, number>();
  const headings = text.match(/^#+ .+$/gm)!.map((line) => {
    const words = line.replace(/^#+ /, '').toLowerCase().replaceAll(' ', '-');
    const name = words.replace(/[^\w-]/g, '');
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    return count === 0 ? name : `${name}-${count}`;
  });
  return [...headings, ...[...text.matchAll(/<a id="([^"]+)"/g)].map(([, id]) => id!)];
}

test('links between documents lead somewhere', () => {
  for (const file of [...DOCUMENTS, 'ARCHITECTURE.md', 'CONTRIBUTING.md'])
    for (const [, to] of source(file).matchAll(/\]\(((?!https?:)[^)]*)\)/g)) {
      const [path, anchor] = to!.split('#');
      const target = join(ROOT, path ? join(file, '..', path) : file);
      expect(existsSync(target), `${file}: ${to}`).toBe(true);
      if (anchor) expect(anchorsOf(readFileSync(target, 'utf8')), `${file}: ${to}`).toContain(anchor);
    }
});

test('documents for maintainers name files that exist', () => {
  const decisions = readdirSync(join(ROOT, 'docs/adr')).map((name) => `docs/adr/${name}`);
  const absent = ['ARCHITECTURE.md', 'CONTRIBUTING.md', ...decisions].flatMap((file) =>
    [...source(file).matchAll(/\b(?:src|wasm|shaders|models|bench|test|workers|scripts)\/[\w./-]*\w/g)]
      .filter(([path]) => !existsSync(join(ROOT, path)))
      .map(([path]) => `${file}: ${path}`),
  );
  expect(absent).toEqual([]);
});

describe.each(DOCUMENTS.filter((file) => blocksOf(file).length > 0))('%s', (file) => {
  const mine = blocks.filter((block) => block.file === file);
  const programs = mine.filter((block) => wayOf(block) === 'program');

  if (programs.length > 0)
    test('its programs run', async () => {
      const path = join(folder, `${file.replace(/\W/g, '_')}.mjs`);
      writeFileSync(path, here(programOf(programs, library)));
      const { code, out, err } = await run(process.execPath, [path]);
      const said = err.split('\n').filter((line) => !/^(open|weights|ready) /.test(line)); // progress
      const began = out.match(/^=== \d+$/gm);
      expect({ code, err: said.join('\n'), began }).toEqual({
        code: 0,
        err: '',
        began: programs.map(({ line }) => `=== ${line}`),
      });
      for (const part of out.split(/^=== \d+\n/m)) expect(/(^\S+$\n){4}/m.test(part), part).toBe(false); // a token a line
    });

  const others = mine.filter((block) => wayOf(block) === 'shell');
  if (others.length > 0)
    test('its commands run', async () => {
      await run('sh', ['-c', 'edge-ssm convert ./mamba2-130m model.gguf && cp model.gguf model-q4_k.gguf']);
      for (const { line, code } of others) {
        const commands = PLACEHOLDERS.reduce((text, [from, to]) => text.replace(from, to), code);
        expect({ line, ...(await run('sh', ['-e', '-c', commands])) }).toMatchObject({ line, code: 0 });
      }
    }, 240_000);

  const printed = mine.filter((block) => wayOf(block) === 'output');
  if (printed.length > 0)
    test('what its commands print', async () => {
      for (const { comment, code } of printed) {
        const { out } = await run('sh', ['-c', comment!.slice('printed by: '.length)]);
        let at = 0;
        for (const part of code
          .split('…')
          .map((text) => text.trim())
          .filter(Boolean)) {
          at = out.indexOf(part, at);
          expect(at, part).toBeGreaterThanOrEqual(0);
        }
      }
    });
});
