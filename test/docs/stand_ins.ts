/** What stands for the files and servers that the documents name. */
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { load } from '../../src/index.ts';
import { CLI, NANO } from '../cli/edge_ssm.ts';
import { fixtureFolder } from '../helpers/fixtures.ts';
import { ROOT } from '../helpers/source.ts';
import { CHATML } from '../tokenizer/templates.ts';

const COPA = {
  premise: 'The girl ran.',
  question: 'cause',
  choice1: 'It was late.',
  choice2: 'It sang.',
  label: 0,
};
const PIQA = { goal: 'To eat?', sol1: 'open', sol2: 'close', label: 1 };

/** Placeholders of a synopsis, as commands that run; what is described after them goes. */
export const PLACEHOLDERS: readonly [RegExp, string][] = [
  [/ {3,}.*$/gm, ''],
  [/\[run\] \[PROMPT\]/, 'run Once --max-tokens 4'],
  [/chat \[PROMPT\]/, 'chat Once --max-tokens 4 < /dev/null'],
  [/(chat --model \S+)$/gm, '$1 < /dev/null'],
  [/bench MODEL/, 'bench MODEL --repeat 1 --prompt-tokens 16 --tokens 8'],
  [/\bMODEL\b/g, './my-model'],
  [/\bOUT\b/g, './converted'],
  [/\bDIR\b/g, './tasks'],
];

/** Models of the hub that the documents name, and the folders that stand for them. */
const HUB: Readonly<Record<string, string>> = {
  'state-spaces/mamba2-130m': 'mamba2-130m',
  'AntonV/mamba2-130m-hf': 'my-model',
  'ibm-granite/granite-4.0-h-350m': 'chat-model',
  'tiiuae/Falcon-H1-0.5B-Instruct': 'falcon-h1',
};

/** Files by the names that the documents give them, and programs that start this build's command line. */
export async function makeFiles(folder: string): Promise<void> {
  const at = (...names: string[]) => join(folder, ...names);
  for (const name of ['my-model', 'mamba2-370m', 'chat-model']) {
    cpSync(NANO, at(name), { recursive: true });
    writeFileSync(at(name, 'chat_template.jinja'), CHATML);
  }
  cpSync(fixtureFolder('mamba2-a'), at('mamba2-130m'), { recursive: true });
  cpSync(fixtureFolder('granite-hybrid'), at('granite-4bit'), { recursive: true });
  cpSync(fixtureFolder('falcon-h1'), at('falcon-h1'), { recursive: true });
  writeFileSync(at('book.txt'), 'The little dog ran to the tree. It was happy.');
  writeFileSync(at('system.txt'), 'Once there was a fox.\n');
  mkdirSync(at('tasks'));
  for (const [name, row] of [
    ['copa', COPA],
    ['piqa', PIQA],
  ] as const)
    writeFileSync(at('tasks', `${name}.jsonl`), `${JSON.stringify(row)}\n`);
  await using model = await load('tiny', { maxSessions: 1 });
  const session = await model.session();
  await session.append('Once there was a fox.');
  await session.saveTo(at('system.state'));
  writeFileSync(at('server.js'), "import { load } from 'edge-ssm';\nawait (await load('tiny')).dispose();\n");
  mkdirSync(at('node_modules'));
  symlinkSync(ROOT, at('node_modules', 'edge-ssm'));
  mkdirSync(at('bin'));
  const here = `exec "${process.execPath}" "${CLI}" "$@"`;
  const esbuild = `"${join(ROOT, 'node_modules/.bin/esbuild')}"`;
  const programs = {
    'edge-ssm': here,
    npx: `case "$1" in esbuild) shift; exec ${esbuild} "$@";; esac; shift; ${here}`,
    npm: `shift; [ "$1" = -- ] && shift; ${here}`, // start
  };
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(at('bin', name), `#!/bin/sh\n${script}\n`);
    chmodSync(at('bin', name), 0o755);
  }
}

/** Serves the hub and example.org from those files. */
export async function serveFiles(folder: string): Promise<{ url: string; close(): void }> {
  const routes: [RegExp, string][] = [
    ...Object.entries(HUB).map(([name, place]): [RegExp, string] => [
      new RegExp(`^/${name}/resolve/main/([\\w.]+)$`),
      place,
    ]),
    [/^\/assets\/([\w.]+)$/, 'node_modules/edge-ssm/dist'],
    [/^\/models\/mine\/([\w.]+)$/, 'my-model'],
    [/^\/([\w.]+)$/, '.'],
  ];
  const server = createServer((request, response) => {
    const [path, place] = routes.find(([path]) => path.test(request.url!)) ?? [];
    let bytes: Buffer;
    try {
      bytes = readFileSync(join(folder, place!, path!.exec(request.url!)![1]!));
    } catch {
      return void response.writeHead(404).end();
    }
    const [, first = 0, last = bytes.length - 1] = (
      /(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
    ).map(Number);
    const end = Math.min(last, bytes.length - 1);
    const status = request.headers.range ? 206 : 200;
    response.writeHead(status, {
      etag: `"${bytes.length}"`,
      'content-range': `bytes ${first}-${end}/${bytes.length}`,
    });
    response.end(bytes.subarray(first, end + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}
