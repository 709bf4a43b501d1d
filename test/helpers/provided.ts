import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'vitest';

/** Debian's Chromium, or the one that CHROMIUM names. */
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** The Vulkan driver of Debian's Chromium, which runs on CPUs. */
export const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Where scripts/setup.sh installs other runtimes, and tests their scratch projects. */
export const CACHE = fileURLToPath(new URL('../../node_modules/.cache/edge-ssm/', import.meta.url));

/** Mesa's software GPU from Debian's backports, where scripts/lavapipe.sh leaves it. */
export const LAVAPIPE = `${CACHE}lavapipe/icd.json`;
export const LAVAPIPE_LIBRARIES = `${CACHE}lavapipe/lib`;

const arm = process.arch === 'arm64';
const RUNTIMES = {
  bun: `@oven/bun-linux-${arm ? 'aarch64' : 'x64'}/bin/bun`,
  deno: `@deno/linux-${arm ? 'arm64' : 'x64'}-glibc/deno`,
  'node-24': `node-linux-${arm ? 'arm64' : 'x64'}/bin/node`,
};
export type Runtime = keyof typeof RUNTIMES;

export function runtimeBinary(name: Runtime): string {
  return `${CACHE}runtimes/node_modules/${RUNTIMES[name]}`;
}

/** Where scripts/setup.sh installs bundlers and an earlier TypeScript. */
export const BUNDLERS = `${CACHE}bundlers/`;

type Provided = 'chromium' | 'bundlers' | Runtime;

function pathOf(what: Provided): string {
  if (what === 'chromium') return CHROMIUM;
  return what === 'bundlers' ? `${BUNDLERS}node_modules/typescript` : runtimeBinary(what);
}

/** Why something that `npm run setup` installs is missing; null if it is there. In CI that is a failure. */
export function missing(what: Provided): string | null {
  const path = pathOf(what);
  if (existsSync(path)) return null;
  const obstacle = `no ${what} at ${path} (npm run setup)`;
  if (process.env.CI === 'true') throw new Error(`CI must provide it: ${obstacle}`);
  return obstacle;
}

/** Skips a test with the reason where `what` is missing; in CI it fails. */
export function provided(context: Pick<TestContext, 'skip'>, what: Provided): void {
  const obstacle = missing(what);
  if (obstacle) context.skip(`SKIP: ${obstacle}`);
}

/** Skips a test where `look` throws, for want of something that scripts/setup.sh installs; in CI it fails. */
export function obstacleIn(context: Pick<TestContext, 'skip'>, what: string, look: () => unknown): void {
  try {
    look();
  } catch {
    const obstacle = `no ${what} (npm run setup)`;
    if (process.env.CI === 'true') throw new Error(`CI must provide it: ${obstacle}`);
    context.skip(`SKIP: ${obstacle}`);
  }
}

const SHARED = new URL('../../../shared/', import.meta.url);

/**
 * Where third-party data lies that the repository may not hold, in the folder `shared` beside it; skips a test, with the
 * reason, where it is missing. test/skips.json names the tests that may be.
 */
export function sharedData(context: Pick<TestContext, 'skip'>, path: string): string {
  const url = new URL(path, SHARED);
  if (!existsSync(url)) context.skip(`no ../shared/${path}`);
  return fileURLToPath(url);
}
