#!/usr/bin/env node
// Writes the lists of ops and of WGSL from the files that are there: whoever adds an op adds its files only.
// `--check` compares instead. A new op comes last: encoded programs of wasm number the ops in this order.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');
/** The names of a folder's files, without their ending. */
const stems = (folder, ending) =>
  readdirSync(new URL(folder, root))
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();

const HEADER = '// Written by `npm run ops`.\n';
const imports = (names) => names.map((name) => `import { ${name} } from './${name}.ts';\n`).join('');
const members = (names) => names.map((name) => `  ${name},\n`).join('');
const unique = (names) => [...new Set(names)];

const found = stems('src/ops', '.ts').filter((name) =>
  read(`src/ops/${name}.ts`).includes(`export const ${name}: OpContract<`),
);
const numbered = [...read('wasm/ops/list.h').matchAll(/\bX\(\d+, (\w+)\)/g)].map(([, name]) => name);
const ops = unique([...numbered.filter((name) => found.includes(name)), ...found]);

/** A table of one function an op. */
const table = (types, comment, name, type) => `${HEADER}${types}${imports(found)}
/** ${comment} */
export const ${name}: ${type} = {
${members(ops)}};
`;

function wgslFiles() {
  const kernels = stems('shaders/wgsl', '.wgsl');
  const lib = stems('shaders/wgsl/lib', '.wgsl');
  const paths = [...kernels, ...lib.map((name) => `lib/${name}`)].sort();
  const lines = paths.map((path) => {
    const name = path.replace('lib/', '');
    return `import ${name} from '../../../shaders/wgsl/${path}.wgsl';\n`;
  });
  return `${HEADER}${lines.join('')}
/** The files of shaders/wgsl. */
export const kernelFiles = {
${members(kernels)}};

/** The files of shaders/wgsl/lib. */
export const libFiles = {
${members(lib)}};
`;
}

const lists = {
  'src/ops/registry.ts': `${HEADER}${imports(found)}
/** Every op that a program may call, under the name that every backend uses. */
export const ops = {
${members(ops)}} as const;
`,
  'src/backends/reference/ops/index.ts': table(
    "import type { OpTable } from '../../../ops/index.ts';\nimport type { StepContext } from '../context.ts';\n",
    'Runs a call of each op.',
    'kernels',
    'OpTable<StepContext, void>',
  ),
  'src/backends/gpu/ops/index.ts': table(
    "import type { OpTable } from '../../../ops/index.ts';\nimport type { Launch } from '../launch.ts';\nimport type { Planner } from '../planner.ts';\n",
    'What a call of each op launches.',
    'launchers',
    'OpTable<Planner, Launch[]>',
  ),
  'src/backends/webgpu/wgsl_files.ts': wgslFiles(),
  'wasm/ops/list.h': `${HEADER}// Every op of src/ops, in the numbering of the encoded program.
#define EACH_OP(X) \\
${ops.map((name, i) => `  X(${i}, ${name})`).join(' \\\n')}
`,
};

const check = process.argv.includes('--check');
for (const [path, text] of Object.entries(lists)) {
  if (!check) writeFileSync(fileURLToPath(new URL(path, root)), text);
  else if (read(path) !== text) {
    console.error(`${path} differs from the files of ops (npm run ops)`);
    process.exitCode = 1;
  }
}
