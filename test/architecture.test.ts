import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ops } from '../src/ops/index.ts';
import { circlesOf, codeOf, filesUnder, importsOf, longFunctions, ROOT, source } from './helpers/source.ts';

/** The rooms of ARCHITECTURE by path, and their levels. Imports point to lower levels; siblings don't import each other. */
const UNITS: [prefix: string, level: number][] = [
  ['src/errors.ts', -1], // the words that everybody uses
  ['src/types.ts', -1],
  ['src/api/types/', -2], // those of the public API
  ['src/runtime/', 0],
  ['src/ops/', 1],
  ['src/io/', 1],
  ['src/tokenizer/', 1],
  ['src/weights/', 2],
  ['src/backends/types.ts', 2],
  ['src/backends/common/', 2.5], // what backends share
  ['src/backends/gpu/', 2.6], // what backends on a GPU share
  ['src/backends/select.ts', 3],
  ['src/backends/reference/', 3],
  ['src/backends/wasm/', 3],
  ['src/backends/webgpu/', 3],
  ['src/backends/metal/', 3],
  ['models/', 3],
  ['src/state/', 3],
  ['src/engine/types.ts', 3.5],
  ['src/engine/service.ts', 3.4], // its interface to the worker
  ['src/engine/core/', 4], // what tasks share
  ['src/engine/language/', 4.1],
  ['src/engine/selftest/', 4.2],
  ['src/engine/', 4.3],
  ['workers/', 5], // the engine's side of the boundary
  ['src/api/', 6], // the user's side
  ['src/index.ts', 7],
  ['src/cli/', 7],
];
const FOLDERS = ['src', 'models', 'workers'];
const files = filesUnder(FOLDERS, '.ts');
const everything = ['.ts', '.mjs'].flatMap((ending) =>
  filesUnder([...FOLDERS, 'wasm', 'test', 'bench', 'scripts'], ending),
);

function unitOf(path: string): [prefix: string, level: number] | undefined {
  if (path === '#runtime' || path.startsWith('#runtime/')) return unitOf('src/runtime/node.ts');
  return UNITS.find(([prefix]) => path.startsWith(prefix));
}

describe('imports', () => {
  test('the parser sees what there is to see', () => {
    const text = `import { a } from './a.ts';\nimport type { B } from "../b.ts"; // from './no.ts'\nexport * from './c.ts';
      const d = await import('./d.ts'); import './e.ts';\n/* import './f.ts' */\nimport x from '#runtime';`;
    const expected = ['src/io/a.ts', 'src/b.ts', 'src/io/c.ts', 'src/io/d.ts', 'src/io/e.ts', '#runtime'];
    expect(importsOf('src/io/x.ts', text).filter((path) => !path.endsWith('no.ts'))).toEqual(expected);
    expect(codeOf(`process.env /* Deno */ + "Bun" // navigator`)).toBe("process.env  + '' ");
  });

  test('every file belongs to a room', () => {
    expect(files.length).toBeGreaterThan(30);
    expect(files.filter((path) => !unitOf(path))).toEqual([]);
  });

  test('point downwards only, and siblings leave each other alone', () => {
    const faults: string[] = [];
    for (const path of files) {
      const [unit, level] = unitOf(path)!;
      for (const target of importsOf(path, source(path))) {
        const found = unitOf(target);
        if (!found || found[0] === unit) continue;
        if (found[1] >= level) faults.push(`${path} (level ${level}) imports ${target} (level ${found[1]})`);
      }
    }
    expect(faults).toEqual([]);
  });

  test("the user's side takes the engine's types alone: its code is the worker's", () => {
    const api = files.filter((path) => path.startsWith('src/api/'));
    expect(api.length).toBeGreaterThan(10);
    const engine =
      /^import (?!type )[^;]*? from '[^']*\/(engine|models|ops|state|weights|backends|workers)\/[^']*'/gm;
    const faults = api.flatMap(
      (path) =>
        source(path)
          .match(engine)
          ?.map((found) => `${path}: ${found}`) ?? [],
    );
    expect(faults).toEqual([
      "src/api/client.ts: import { asEdgeError, installErrorTransfer } from '../../workers/errors.ts'",
    ]);
  });

  test('name existing files with their endings', () => {
    const faults = files.flatMap((path) =>
      importsOf(path, source(path))
        .filter((target) => /^(src|models|workers|wasm|shaders)\//.test(target))
        .filter((target) => !existsSync(join(ROOT, target.replace(/\?.*$/, ''))))
        .map((target) => `${path} imports ${target}`),
    );
    expect(faults).toEqual([]);
  });

  test('make no circle', () => {
    const circle: [string, string][] = [
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'b'],
      ['c', 'd'],
    ];
    expect(circlesOf(circle)).toEqual([['b', 'c']]);
    const edges = everything.flatMap((path) =>
      importsOf(path, source(path)).map((target): [string, string] => [path, target.replace(/\?.*$/, '')]),
    );
    expect(edges.length).toBeGreaterThan(1000);
    expect(circlesOf(edges)).toEqual([]);
  });

  test('only composition roots name a concrete backend', () => {
    const faults = files
      .filter((path) => !/^(src\/engine\/|workers\/|src\/backends\/)/.test(path))
      .flatMap((path) =>
        importsOf(path, source(path))
          .filter((target) => /^src\/backends\/(wasm|webgpu|metal|reference)\//.test(target))
          .map((target) => `${path} imports ${target}`),
      );
    expect(faults).toEqual([]);
    const shipped = files.filter((path) => !path.startsWith('src/backends/reference/'));
    const usesReference = shipped.filter((path) =>
      importsOf(path, source(path)).some((target) => target.startsWith('src/backends/reference/')),
    );
    expect(usesReference).toEqual([]);
  });
});

test('what GPUs share knows no API of one', () => {
  const faults = filesUnder(['src/backends/gpu'], '.ts').flatMap((path) =>
    (codeOf(source(path)).match(/\b(GPU[A-Z]|MTL)\w+/g) ?? []).map((found) => `${path}: ${found}`),
  );
  expect(faults).toEqual([]);
});

test('only src/runtime knows which runtime it is in', () => {
  const faults = files
    .filter((path) => !path.startsWith('src/runtime/'))
    .flatMap((path) => {
      const globals =
        codeOf(source(path)).match(/(?<![.\w'])(navigator|process|Deno|Bun)(?=\s*[.[?])/g) ?? [];
      const modules = importsOf(path, source(path)).filter((target) => target.startsWith('node:'));
      return [...globals, ...modules].map((found) => `${path}: ${found}`);
    });
  expect(faults).toEqual([]);
});

test('nothing that leads to a token computes with transcendental Math: engines differ in bits', () => {
  const faults = files
    .filter((path) => !path.startsWith('src/backends/reference/'))
    .flatMap((path) => {
      const calls = codeOf(source(path)).match(
        /\bMath\.(exp|expm1|pow|sin|cos|tan|tanh|sinh|cosh|log1p|cbrt)\b/g,
      );
      return (calls ?? []).map((call) => `${path}: ${call}`);
    });
  expect(faults).toEqual([]);
});

test('files stay small', () => {
  const limits: [paths: string[], lines: number][] = [
    [filesUnder([...FOLDERS, 'test', 'bench', 'scripts'], '.ts'), 330],
    [filesUnder(['wasm'], '.c'), 220],
    [filesUnder(['shaders'], '.wgsl'), 220],
    [filesUnder(['shaders'], '.metal'), 220],
    [filesUnder(['workers'], 'engine.ts'), 40],
  ];
  const faults = limits.flatMap(([paths, most]) =>
    paths
      .map((path) => ({ path, lines: source(path).split('\n').length - 1 }))
      .filter(({ lines }) => lines > most)
      .map(({ path, lines }) => `${path}: ${lines} lines, ${most} are allowed`),
  );
  expect(faults).toEqual([]);
});

test('lists of ops and of shaders are what `npm run ops` writes', () => {
  const { stderr, status } = spawnSync(process.execPath, [join(ROOT, 'scripts/ops.mjs'), '--check']);
  expect([status, String(stderr)]).toEqual([0, '']);
});

test('functions stay small, but for these, which may only shrink', () => {
  const text = 'const f = (a: number) => {\n};\nclass A { g() {\n\n} }\ndescribe(() => {\n1; });';
  expect(longFunctions('x.ts', text, 2)).toEqual([{ name: 'g', lines: 3 }]);
  expect(longFunctions('x.ts', text, 1).map(({ name }) => name)).toEqual(['f', 'g']);
  const long = everything.flatMap((path) =>
    longFunctions(path, source(path), 60).map(({ name, lines }): [string, number] => [
      `${path} ${name}`,
      lines,
    ]),
  );
  const known: Record<string, number> = {
    'bench/main.mjs measure': 74,
    'models/blocks.ts attentionBlock': 63,
    'models/blueprint.ts languageModel': 65,
    'src/tokenizer/jinja/strftime.ts fieldOf': 89,
    'src/weights/checkpoint.ts openShards': 66,
    'test/worker/wrong_arguments.test.ts calls': 68,
  };
  expect(long.filter(([name, lines]) => lines > (known[name] ?? 60))).toEqual([]);
  expect(Object.keys(known).filter((name) => !long.some(([found]) => found === name))).toEqual([]);
});

describe('one name for an op everywhere', () => {
  const names = Object.keys(ops).sort();
  const stems = (folder: string, ending: string) =>
    filesUnder([folder], ending)
      .filter((path) => path === `${folder}/${basename(path)}`)
      .map((path) => basename(path, ending));

  test('src/ops', () => {
    const others = ['contract', 'index', 'registry', 'program', 'sampling_options'];
    expect(stems('src/ops', '.ts').filter((name) => !others.includes(name))).toEqual(names);
  });

  test('src/backends/reference/ops', () => {
    expect(stems('src/backends/reference/ops', '.ts').filter((name) => name !== 'index')).toEqual(names);
    for (const name of names)
      expect(source(`src/backends/reference/ops/${name}.ts`)).toContain(`export function ${name}(`);
  });

  test('src/backends/gpu/ops', () => {
    expect(stems('src/backends/gpu/ops', '.ts').filter((name) => name !== 'index')).toEqual(names);
    for (const name of names)
      expect(source(`src/backends/gpu/ops/${name}.ts`)).toContain(`export function ${name}(`);
  });

  test('shaders/wgsl', () => {
    const linears = ['norm_linear', 'linear_residual', 'logits']; // all of them are matvec or matmul
    const others = [
      'matvec',
      'matmul',
      'matmul_f16',
      'matmul_matrix',
      'to_f16',
      'sum_parts',
      'mamba2_decode',
      'mamba2_project', // mamba2_decode, with PROJECT
    ];
    const expected = [...names.filter((name) => !linears.includes(name)), ...others].sort();
    expect(stems('shaders/wgsl', '.wgsl').sort()).toEqual(expected);
    for (const name of expected) {
      const file = name === 'mamba2_project' ? 'mamba2_decode' : name;
      expect(source(`shaders/wgsl/${file}.wgsl`)).toContain(`fn ${name}(`);
    }
  });

  test('wasm/ops', () => {
    const listed = [...source('wasm/ops/list.h').matchAll(/\bX\((\d+), (\w+)\)/g)];
    expect(listed.map(([, index]) => Number(index))).toEqual(names.map((_, index) => index));
    expect(listed.map(([, , name]) => name)).toEqual(Object.keys(ops)); // numbered in the registry's order
    expect(stems('wasm/ops', '.c').filter((name) => names.includes(name))).toEqual(names);
    for (const name of names) expect(source(`wasm/ops/${name}.c`)).toContain(`OP(${name})`);
  });
});
