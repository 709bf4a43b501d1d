import { defineConfig } from 'vitest/config';

/** What needs the package as users get it: the tarball, installed in a project of its own. */
export default defineConfig({
  test: {
    include: ['test/{package,smoke,browser}/*.test.ts'],
    globalSetup: ['scripts/packed-setup.mjs'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
