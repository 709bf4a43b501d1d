#!/usr/bin/env node
// Writes docs/api.md from the types that are published, by TypeDoc, which npm run setup installs.
// `--check FOLDER` says whether it is of the types in that folder instead.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildTypes } from './build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const tools = join(root, 'node_modules/.cache/edge-ssm/typedoc/node_modules');
const file = join(root, 'docs/api.md');

const OPTIONS = {
  plugin: [join(tools, 'typedoc-plugin-markdown/dist/index.js')],
  router: 'module',
  entryFileName: 'api.md',
  name: 'API reference',
  readme: 'none',
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useHTMLAnchors: true, // GitHub's own names of headings are not what TypeDoc takes them for
  excludeExternals: true,
  disableSources: true,
  sort: ['source-order'],
  groupOrder: ['Functions', 'Interfaces', 'Type Aliases', 'Classes'],
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  validation: { notDocumented: true },
  treatWarningsAsErrors: true,
};

const INTRODUCTION = `# API reference

\`import { load, EdgeError } from 'edge-ssm'\`, and the types of what they take and give. Written by \`npm run docs\` from the
comments in the types: edit them there.
`;

/** Says of which types a reference is. */
function mark(types) {
  const hash = createHash('sha256');
  const names = readdirSync(types, { recursive: true }).filter((name) => name.endsWith('.d.ts'));
  for (const name of names.map((name) => name.replaceAll('\\', '/')).sort())
    hash.update(`${name}\0${readFileSync(join(types, name), 'utf8')}\0`);
  return `<!-- of the types ${hash.digest('hex').slice(0, 16)} -->\n`;
}

function write(folder) {
  if (!existsSync(tools)) throw new Error('TypeDoc is missing: npm run setup installs it');
  const types = join(folder, 'types');
  buildTypes(types);
  const entry = join(types, 'src/index.d.ts');
  const compilerOptions = {
    target: 'es2022',
    module: 'nodenext',
    lib: ['es2022', 'esnext.disposable', 'dom', 'dom.asynciterable'],
    types: [],
    strict: true,
  };
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [entry] }));
  const options = { ...OPTIONS, entryPoints: [entry], tsconfig: join(folder, 'tsconfig.json'), out: folder };
  writeFileSync(join(folder, 'typedoc.json'), JSON.stringify({ ...options, cleanOutputDir: false }));
  const typedoc = join(tools, 'typedoc/bin/typedoc');
  execFileSync(process.execPath, [typedoc, '--options', join(folder, 'typedoc.json')], { stdio: 'inherit' });
  const text = readFileSync(join(folder, 'api.md'), 'utf8')
    .replace(/^# .*\n/, INTRODUCTION)
    .replaceAll('\\<`ArrayBufferLike`\\>', ''); // what arrays are of by default
  writeFileSync(file, `${text.trimEnd()}\n\n${mark(types)}`);
}

if (process.argv[2] === '--check') {
  if (!readFileSync(file, 'utf8').endsWith(mark(process.argv[3]))) {
    console.error('docs/api.md is of other types: run npm run docs');
    process.exitCode = 1;
  }
} else {
  const folder = mkdtempSync(join(tmpdir(), 'edge-ssm-api-'));
  try {
    write(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
