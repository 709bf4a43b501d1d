import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SCRATCH } from './models.mjs';

const PACKAGES = ['node-llama-cpp@3', '@wllama/wllama@3'];

/** node-llama-cpp and wllama in a scratch folder; nothing is compiled. */
export async function installPeers() {
  const folder = join(SCRATCH, 'peers');
  const native = `@node-llama-cpp/${process.platform === 'linux' ? 'linux' : process.platform === 'darwin' ? 'mac' : 'win'}-${process.arch}`;
  if (!existsSync(join(folder, 'node_modules/node-llama-cpp'))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
    const args = ['install', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund'];
    execFileSync('npm', [...args, ...PACKAGES, native], { cwd: folder, stdio: 'inherit' });
  }
  return { folder };
}
