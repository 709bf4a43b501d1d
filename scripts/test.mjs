#!/usr/bin/env node
// npm test: style and types, the bytes of the WASM modules, and every suite. `--full` adds the long ones.
// With CI=true everything that scripts/setup.sh installs must be there, and nothing skips but what test/skips.json names;
// otherwise what is missing is skipped, with its reason.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const full = process.argv.includes('--full');
const ci = process.env.CI === 'true';
const reports = mkdtempSync(join(tmpdir(), 'edge-ssm-test-'));
const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const skips = new Map(); // names of tests by the reason
const allowed = JSON.parse(readFileSync(join(root, 'test/skips.json'), 'utf8')).filter(
  ({ absent }) => absent === undefined || !existsSync(join(root, absent)),
);

function run(title, command, args, environment = {}) {
  console.log(`\n── ${title}`);
  const env = { ...process.env, ...environment };
  return spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env }).status === 0;
}

/** A step without tests of its own counts as one. */
function step(title, command, args) {
  if (run(title, command, args)) total.passed++;
  else fail(title);
}

function skip(title, reason) {
  console.log(`\n── ${title}\nSKIP: ${reason}`);
  skipped({ name: title, reason });
}

function fail(title) {
  total.failed++;
  failures.push(title);
}

/** A test or step that did not run: in CI it must be one of those that may. */
function skipped({ name, reason }) {
  const known = allowed.some(({ test }) => name.startsWith(test));
  if (ci && !known) fail(`${name} (skipped: ${reason}; test/skips.json does not name it)`);
  skips.set(reason, [...(skips.get(reason) ?? []), name]);
  total.skipped++;
}

/** A suite's tests, counted from its report. */
function suite(title, config, environment) {
  const report = join(reports, `${config}.json`);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts/reporter.mjs')}`];
  const fine = run(title, process.execPath, [vitest, 'run', '-c', config, ...reporters], {
    ...environment,
    EDGE_SSM_TEST_REPORT: report,
  });
  const found = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : null;
  total.passed += found?.passed ?? 0;
  for (const name of found?.failed ?? []) fail(name);
  for (const test of found?.skipped ?? []) skipped(test);
  if (!fine && !found?.failed.length) fail(`${title} (did not finish)`);
}

const node = process.execPath;
const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (ci) step('setup', join(root, 'scripts/setup.sh'), []);
step('style', node, [join(root, 'node_modules/@biomejs/biome/bin/biome'), 'check', '.']);
step('types', node, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit']);
if (ci || existsSync(join(root, 'wasm/node_modules/@yowasp/clang')))
  step('WASM modules are what their sources give', node, ['wasm/build.mjs', '--check']);
else skip('WASM modules are what their sources give', 'their compiler is not installed (npm run setup)');
suite('units and suites in Node', 'vitest.config.ts', full ? { EDGE_SSM_FULL: '1' } : {});
const lavapipe = join(root, 'node_modules/.cache/edge-ssm/lavapipe');
const absent = join(lavapipe, 'absent.txt'); // why there is none for this system: scripts/lavapipe.sh
if (existsSync(join(lavapipe, 'icd.json')))
  suite('WebGPU on another software GPU', 'vitest.lavapipe.config.ts', full ? { EDGE_SSM_FULL: '1' } : {});
else if (existsSync(absent)) skip('WebGPU on another software GPU', readFileSync(absent, 'utf8').trim());
else if (ci) fail('WebGPU on another software GPU (scripts/lavapipe.sh left neither it nor a reason)');
else skip('WebGPU on another software GPU', 'no lavapipe (npm run setup)');
suite('the packed tarball: package, other runtimes, pages', 'vitest.packed.config.ts');
if (ci || existsSync(chromium)) suite('parity and goldens in Chromium', 'vitest.browser.config.ts');
else skip('parity and goldens in Chromium', `no Chromium at ${chromium} (npm run setup)`);

rmSync(reports, { recursive: true, force: true });
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((name) => `  ${name}`).join('\n')}`);
for (const [reason, names] of skips) console.log(`\nSkipped, ${reason}:\n  ${names.join('\n  ')}`);
if (total.skipped > 0) console.log(`\n${total.skipped} skipped`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
