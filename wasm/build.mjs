#!/usr/bin/env node
// Builds wasm/modules/edge.{scalar,simd,relaxed}[.threads].wasm and edge.memory64.wasm from every C file in this folder.
//   node wasm/build.mjs [--cc yowasp|clang-19|emcc] [--only edge.simd] [--check]
// The committed modules come from the pinned yowasp compiler; --check rebuilds them and compares bytes.
import { execFileSync } from 'node:child_process';
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
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, 'modules');

const COMPILE = [
  '-std=gnu11',
  '-ffreestanding',
  '-ffp-contract=off',
  '-fvisibility=hidden',
  '-mbulk-memory',
  '-Wall',
  '-Wextra',
  '-Werror',
];
const LINK = [
  '--no-entry',
  '--import-memory',
  '--export=__stack_pointer',
  '--export=__heap_base',
  '--strip-all',
];
// Strength reduction hides the constant part of an address, which engines would fold into the load.
const FAST = ['-O3', '-mllvm', '-disable-lsr', '-msimd128'];
const VARIANTS = {
  scalar: ['-Os'],
  simd: FAST,
  relaxed: [...FAST, '-mrelaxed-simd'],
};
const THREADS = { compile: ['-matomics'], link: ['--shared-memory', '--max-memory=4294967296'] };

const MEMORY64 = { ...THREADS, link: ['--shared-memory', '--max-memory=17179869184'] };

/** Every module's name and flags. */
function targets() {
  const modules = Object.entries(VARIANTS).flatMap(([name, simd]) => [
    { name: `edge.${name}.wasm`, compile: [...COMPILE, ...simd], link: LINK },
    {
      name: `edge.${name}.threads.wasm`,
      compile: [...COMPILE, ...simd, ...THREADS.compile],
      link: [...LINK, ...THREADS.link],
    },
  ]);
  const memory64 = {
    name: 'edge.memory64.wasm',
    cpu: 'wasm64',
    compile: [...COMPILE, ...VARIANTS.relaxed, ...MEMORY64.compile],
    link: [...LINK, ...MEMORY64.link],
  };
  return [...modules, memory64];
}

/** Sources and headers by path from this folder, sorted; what only native builds use is left out. */
function sources(folder = here) {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory())
        return ['node_modules', 'modules', 'native'].includes(entry.name) ? [] : sources(path);
      return /\.[ch]$/.test(entry.name) ? [relative(here, path).replaceAll(sep, '/')] : [];
    });
}

const isC = (path) => path.endsWith('.c');
const clangArguments = ({ cpu = 'wasm32', compile, link }, files, out) => [
  `--target=${cpu}-unknown-unknown`,
  '-nostdlib',
  ...compile,
  ...link.map((flag) => `-Wl,${flag}`),
  ...files.filter(isC),
  '-o',
  out,
];

async function yowasp() {
  if (!existsSync(join(here, 'node_modules', '@yowasp', 'clang')))
    execFileSync('npm', ['ci', '--prefix', here], { stdio: 'inherit', shell: process.platform === 'win32' });
  const { commands } = await import('@yowasp/clang');
  return async (target, files) => {
    const args = ['-iquote', '.', ...clangArguments(target, files, 'out.wasm')];
    try {
      return (await commands.clang(args, sourceTree(files)))['out.wasm'];
    } catch (error) {
      throw new Error(`${target.name} was not built`, { cause: error.message }); // the compiler said why
    }
  };
}

/** Files as the compiler's file system wants them. It knows no '..', so includes are spelled from the root. */
function sourceTree(files) {
  const tree = {};
  for (const path of files) {
    const parts = path.split('/');
    let folder = tree;
    for (const part of parts.slice(0, -1)) folder = folder[part] ??= {};
    folder[parts.at(-1)] = readFileSync(join(here, path), 'utf8').replace(
      /^#include "(.+)"/gm,
      (_, target) => `#include "${posix.join(posix.dirname(path), target)}"`,
    );
  }
  return tree;
}

/** A clang with lld beside it, on the command line. */
function nativeClang(command) {
  return (target, files) =>
    inScratch((out) =>
      execFileSync(command, clangArguments(target, files, out), { cwd: here, stdio: 'inherit' }),
    );
}

/** emcc brings its own linker and knows its flags by other names. */
function emcc() {
  return (target, files) => {
    const shared = target.link.includes('--shared-memory');
    const settings = [
      'STANDALONE_WASM',
      'IMPORTED_MEMORY=1',
      ...(shared ? ['SHARED_MEMORY=1'] : []),
      'ALLOW_MEMORY_GROWTH=1',
      'INITIAL_MEMORY=131072',
      'TOTAL_STACK=65536',
      ...(target.cpu === 'wasm64' ? ['MEMORY64=1', 'MAXIMUM_MEMORY=16GB'] : ['MAXIMUM_MEMORY=4GB']),
    ];
    const link = target.link.filter((flag) => flag.startsWith('--export')).map((flag) => `-Wl,${flag}`);
    return inScratch((out) =>
      execFileSync(
        'emcc',
        [
          ...target.compile,
          '-mmutable-globals',
          ...link,
          '--no-entry',
          ...settings.flatMap((s) => ['-s', s]),
          ...files.filter(isC),
          '-o',
          out,
        ],
        { cwd: here, stdio: 'inherit' },
      ),
    );
  };
}

function inScratch(build) {
  const scratch = mkdtempSync(join(tmpdir(), 'edge-wasm-'));
  try {
    const out = join(scratch, 'out.wasm');
    build(out);
    return readFileSync(out);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function main(args) {
  const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
  const cc = option('--cc') ?? 'yowasp';
  const only = option('--only');
  const build = cc === 'yowasp' ? await yowasp() : cc === 'emcc' ? emcc() : nativeClang(cc);
  const files = sources();
  const differing = [];
  mkdirSync(modules, { recursive: true });
  for (const target of targets()) {
    if (only && target.name !== `${only}.wasm`) continue;
    const bytes = await build(target, files);
    const path = join(modules, target.name);
    if (!args.includes('--check')) writeFileSync(path, bytes);
    else if (!existsSync(path) || !readFileSync(path).equals(bytes)) differing.push(target.name);
    console.log(`${target.name}: ${bytes.length} bytes`);
  }
  if (differing.length === 0) return;
  console.error(
    `wasm/modules differs from what its sources give: ${differing.join(', ')} (npm run build:wasm)`,
  );
  process.exitCode = 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error.message, error.cause ?? '');
  process.exitCode = 1;
}
