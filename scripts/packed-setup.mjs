import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Packs the project and installs the tarball in a scratch project, as a user would. */
export default async function setup(project) {
  const consumer = mkdtempSync(join(tmpdir(), 'edge-ssm-consumer-'));
  const npm = (args, cwd) =>
    execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const [{ filename }] = JSON.parse(
    npm(['pack', '--json', '--pack-destination', consumer], root).replace(/^[^[]*/, ''),
  );
  writeFileSync(join(consumer, 'package.json'), '{ "private": true, "type": "module" }\n');
  npm(['install', '--no-audit', '--no-fund', `./${filename}`], consumer);
  project.provide('consumer', consumer);
  project.provide('tarball', join(consumer, filename));
  return () => rmSync(consumer, { recursive: true, force: true });
}
