import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vitest/config';

/** Modules of WebAssembly are bytes and `.wgsl` imports text, as in the build. */
export const assets: Plugin = {
  name: 'assets',
  enforce: 'pre',
  resolveId(source) {
    const [, module] = /\/dist\/wasm\/(.+\.wasm)\.js$/.exec(source) ?? [];
    return module === undefined ? null : fileURLToPath(new URL(`wasm/modules/${module}`, import.meta.url));
  },
  load(id) {
    if (id.endsWith('.wgsl')) return `export default ${JSON.stringify(readFileSync(id, 'utf8'))};`;
    if (!id.endsWith('.wasm')) return null;
    const base64 = readFileSync(id).toString('base64');
    return `export default Uint8Array.from(atob('${base64}'), (c) => c.charCodeAt(0));`;
  },
};

export default defineConfig({
  plugins: [assets],
  test: {
    include: ['test/**/*.test.ts'],
    exclude: [
      ...(process.env.EDGE_SSM_FULL === '1' ? [] : ['test/full/**']),
      'test/{package,smoke,browser}/**', // vitest.packed.config.ts
      '**/node_modules/**',
    ],
    globalSetup: ['scripts/vitest-setup.mjs'],
    setupFiles: ['test/helpers/fast_equality.ts'],
    testTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
