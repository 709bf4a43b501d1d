import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type Plugin } from 'vitest/config';
import { CHROMIUM_FLAGS } from './test/browser/chromium.ts';
import { CHROMIUM } from './test/helpers/provided.ts';
import { assets } from './vitest.config.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The suites read fixtures from disk; in a page they come from the server. They start no worker. */
const inPage: Plugin = {
  name: 'in-page',
  enforce: 'pre',
  resolveId(source) {
    if (source.endsWith('/helpers/fixtures.ts')) return here('test/browser/fixtures.ts');
    return source === 'edge-ssm:engine-worker' ? `\0${source}` : null;
  },
  load: (id) => (id === '\0edge-ssm:engine-worker' ? "export default '';" : null),
};

/** Op parity and goldens inside Chromium, on sources. */
export default defineConfig({
  plugins: [assets, inPage],
  optimizeDeps: { noDiscovery: true },
  resolve: { alias: { '#runtime': here('src/runtime/browser.ts') } },
  server: {
    headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
  },
  test: {
    include: ['test/browser/suites/*.ts'],
    testTimeout: 60_000,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: { executablePath: CHROMIUM, args: CHROMIUM_FLAGS } }),
      instances: [{ browser: 'chromium' }],
    },
  },
});
