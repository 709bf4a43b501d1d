// Every measurement runs in a process of its own: its peak memory is its own, and no compiled code is shared.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildBrowser, buildNode } from '../scripts/build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = join(root, 'node_modules/.cache/edge-ssm/bench');

/** The library, and the children that look inside it. */
export async function buildChildren({ browser }) {
  mkdirSync(cache, { recursive: true });
  await buildNode();
  if (browser) await buildBrowser();
  await build({
    absWorkingDir: root,
    entryPoints: ['bench/children/ops.ts', 'bench/children/bench-thread.ts', 'bench/children/webgpu.ts'],
    loader: { '.wgsl': 'text' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    outdir: cache,
    logLevel: 'warning',
  });
}

/** Runs a child with a JSON argument; what it prints last is its result. */
export function child(name, args, node) {
  const bundled = ['ops', 'webgpu'].includes(name);
  const script = bundled ? join(cache, `${name}.js`) : join(root, `bench/children/${name}.mjs`);
  const flags = ['ops', 'model', 'long', 'state', 'prompts'].includes(name) ? relaxed(node) : [];
  return new Promise((resolve, reject) => {
    const process = spawn(node, [...flags, script, JSON.stringify(args)], {
      cwd: args.peers ?? root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    process.stdout.on('data', (data) => {
      out += data;
    });
    process.on('error', reject);
    process.on('exit', (code) => {
      if (code === 0) resolve(JSON.parse(out.trim().split('\n').at(-1)));
      else reject(new Error(`bench/children/${name} ended with code ${code}\n${out}`));
    });
  });
}

/** Node 20 has relaxed SIMD behind flags, which the command line sets as well. */
function relaxed(node) {
  const old = node === process.execPath && process.versions.node.startsWith('20.');
  return old ? ['--experimental-wasm-relaxed-simd', '--no-liftoff'] : [];
}
